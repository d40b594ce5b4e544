/** Which implementation checks signatures for a command that reads files: the fastest that runs here, as for a node. */
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import type { SigningBackend } from '../crypto/signature.ts';
import { printNote } from './output.ts';

/** Says so where only the slow one runs: a chain of ordinary length then takes minutes, not seconds. */
export async function commandBackend(): Promise<SigningBackend> {
  const { backend, passedOver } = await loadSignatureBackend('auto');
  if (backend.name === 'noble') {
    const why = passedOver.map(({ name, why }) => `${name}: ${why}`).join('; ');
    printNote(`signatures are checked in plain JavaScript, which is slow; faster ones cannot run here: ${why}`);
  }
  return backend;
}

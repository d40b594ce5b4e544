/**
 * Runs the scenarios of `test/sim/trace-hashes.json` and writes what their traces hash to now. For changes that are
 * meant to change the course of events: the diff of that file says so. `npm run generate:traces`
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { runScenario } from '../sim/run-scenario.ts';
import { parseScenario } from '../sim/scenario.ts';

const repository = join(import.meta.dirname, '..');
const file = join(repository, 'test', 'sim', 'trace-hashes.json');

interface TraceHashes {
  readonly seed: string;
  readonly hashes: Readonly<Record<string, string>>;
}

const { seed, hashes } = JSON.parse(await readFile(file, 'utf8')) as TraceHashes;
const { backend } = await loadSignatureBackend('auto');
const renewed: Record<string, string> = {};
for (const [name, before] of Object.entries(hashes)) {
  const text = await readFile(join(repository, 'sim', 'scenarios', `${name}.yaml`), 'utf8');
  const { traceHash, passed } = await runScenario(parseScenario(text), { seed, backend });
  if (!passed) throw new Error(`${name} fails with seed ${seed}: its trace is not worth keeping`);
  renewed[name] = traceHash;
  console.log(`${name}: ${traceHash === before ? 'as before' : 'another trace'}`);
}
await writeFile(file, `${JSON.stringify({ seed, hashes: renewed }, null, 2)}\n`);

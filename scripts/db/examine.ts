/** How `grapevine db verify` and `repair` examine a store. */
import type { Genesis } from '../../chain/genesis.ts';
import { createSystemClock } from '../../node/adapters.ts';
import type { VerifyOptions } from '../../node/store/verify-store.ts';
import { createInlineVerifier } from '../../node/verify/inline-verifier.ts';
import { noteMigration } from '../data-dir.ts';
import type { Progress } from '../progress.ts';
import { commandBackend } from '../signature-backend.ts';

const clock = createSystemClock();

export async function examineOptions(
  genesis: Genesis,
  signatures: boolean,
  progress: Progress,
): Promise<VerifyOptions> {
  return {
    genesis,
    signatures,
    verifier: createInlineVerifier(await commandBackend(), clock),
    nowMs: clock.nowMs(),
    onProgress: (stage, done, total) => progress.update(stage, done, total),
    onMigrated: noteMigration,
  };
}

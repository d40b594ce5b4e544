/** How `grapevine db verify` and `repair` examine a store. */
import type { Genesis } from '../../chain/genesis.ts';
import { createSystemClock } from '../../node/adapters.ts';
import type { VerifyOptions } from '../../node/store/verify-store.ts';
import { createInlineVerifier } from '../../node/verify/inline-verifier.ts';
import { noteMigration } from '../data-dir.ts';
import type { Progress } from '../progress.ts';
import { commandBackend } from '../signature-backend.ts';

const clock = createSystemClock();

/**
 * @param signatures whether transactions' signatures are checked too: a body's root commits to them
 * @param progress hears of each stage; ending it is the caller's
 */
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

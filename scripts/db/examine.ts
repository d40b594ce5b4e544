/** How `grapevine db verify` and `repair` examine a store. */
import type { Genesis } from '../../chain/genesis.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { createSystemClock } from '../../node/adapters.ts';
import type { VerifyOptions } from '../../node/store/verify-store.ts';
import { createInlineVerifier } from '../../node/verify/inline-verifier.ts';
import { noteMigration } from '../data-dir.ts';
import type { Progress } from '../progress.ts';

const clock = createSystemClock();

export function examineOptions(genesis: Genesis, signatures: boolean, progress: Progress): VerifyOptions {
  return {
    genesis,
    signatures,
    verifier: createInlineVerifier(nobleBackend, clock),
    nowMs: clock.nowMs(),
    onProgress: (stage, done, total) => progress.update(stage, done, total),
    onMigrated: noteMigration,
  };
}

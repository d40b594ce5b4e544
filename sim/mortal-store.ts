/** A store whose node can die: from then on no call comes back, as nothing comes back to a process that was killed. */
import type { Store } from '../node/store/store.ts';

export interface MortalStore {
  readonly store: Store;
  kill(): void;
}

/**
 * Wraps every method. A write that is under way when the node dies may still arrive, whole: as with SIGKILL, what
 * was handed over is kept and nobody is told.
 */
export function createMortalStore(inner: Store): MortalStore {
  let isDead = false;
  const fail = (error: unknown): Promise<never> => (isDead ? never() : Promise.reject(error));
  const guard = <T>(call: () => Promise<T>): Promise<T> =>
    isDead ? never() : call().then((value) => (isDead ? never<T>() : value), fail);
  return {
    store: {
      load: (chainId) => guard(() => inner.load(chainId)),
      initialize: (genesis, accounts) => guard(() => inner.initialize(genesis, accounts)),
      commit: (change) => guard(() => inner.commit(change)),
      block: (id) => guard(() => inner.block(id)),
      encodedBlock: (id) => guard(() => inner.encodedBlock(id)),
      delta: (id) => guard(() => inner.delta(id)),
      txLocation: (id) => guard(() => inner.txLocation(id)),
      history: (address, limit, before) =>
        guard(() => (before === undefined ? inner.history(address, limit) : inner.history(address, limit, before))),
      saveVotes: (votes) => guard(() => inner.saveVotes(votes)),
      saveAgreement: (certificates, final) => guard(() => inner.saveAgreement(certificates, final)),
      saveEvidence: (evidence) => guard(() => inner.saveEvidence(evidence)),
      certificate: (targetHeight) => guard(() => inner.certificate(targetHeight)),
      certificatesFrom: (targetHeight, votes) => guard(() => inner.certificatesFrom(targetHeight, votes)),
      encodedVotesFrom: (targetHeight, votes) => guard(() => inner.encodedVotesFrom(targetHeight, votes)),
      saveOwnVote: (vote, own) => guard(() => inner.saveOwnVote(vote, own)),
      voteGuard: (voter) => guard(() => inner.voteGuard(voter)),
      saveMempool: (added, removed) => guard(() => inner.saveMempool(added, removed)),
      savePeers: (peers) => guard(() => inner.savePeers(peers)),
      loadPeers: () => guard(() => inner.loadPeers()),
      close: () => guard(() => inner.close()),
    },
    kill: () => {
      isDead = true;
    },
  };
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

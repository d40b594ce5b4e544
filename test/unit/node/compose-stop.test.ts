import { expect, test } from 'vitest';
import type { Store } from '../../../node/store/store.ts';
import type { World } from '../../../sim/world.ts';
import { boundMethods, openWorld } from '../../sim/open-world.ts';

const hang = (): Promise<never> => new Promise(() => {});

interface Broken {
  readonly world: World;
  /** From now on these calls never come back. */
  readonly broken: Set<string>;
  readonly closed: string[];
}

async function openBreakable(): Promise<Broken> {
  const broken = new Set<string>();
  const closed: string[] = [];
  const stopFront = async (name: string): Promise<void> => {
    if (name !== 'a') return;
    closed.push('api');
    if (broken.has('api')) await hang();
  };
  const world = openWorld({
    nodes: ['a', 'b', 'c'].map((name) => ({ name })),
    wrapStore: (name, store) => {
      if (name !== 'a') return store;
      const orHang =
        <A extends unknown[], R>(method: string, call: (...args: A) => Promise<R>) =>
        (...args: A): Promise<R> =>
          broken.has(method) ? hang() : call(...args);
      const inner: Store = boundMethods(store);
      return {
        ...inner,
        commit: orHang('commit', inner.commit),
        saveVotes: orHang('saveVotes', inner.saveVotes),
        saveAgreement: orHang('saveAgreement', inner.saveAgreement),
        saveOwnVote: orHang('saveOwnVote', inner.saveOwnVote),
        saveMempool: orHang('saveMempool', inner.saveMempool),
        close: async () => {
          closed.push('store');
          return broken.has('close') ? hang() : inner.close();
        },
      };
    },
    front: (name) => ({ name: 'api', stop: () => stopFront(name) }),
    wrapVerifier: (name, verifier) => ({
      verify: (items) => (name === 'a' && broken.has('verify') ? hang() : verifier.verify(items)),
    }),
  });
  await world.start();
  await world.untilFinal(3, 60_000);
  return { world, broken, closed };
}

const EVERYTHING = ['commit', 'saveVotes', 'saveAgreement', 'saveOwnVote', 'saveMempool', 'close', 'verify'];

test.each([
  ['nothing', []],
  ...EVERYTHING.map((each) => [each, [each]] as const),
  ['network', ['network']],
  ['the API', ['api']],
  ['everything at once', [...EVERYTHING, 'network', 'api']],
] as const)(
  'where %s hangs, the node has stopped within five seconds, the API first and the store last',
  async (_what, parts) => {
    const { world, broken, closed } = await openBreakable();
    const a = world.node('a');
    const { node, network } = a;
    if (parts.some((part) => part === 'network')) network.stop = hang;
    for (const part of parts) broken.add(part);
    const tx = world.transfer(0);
    void node.ingest.submitTx(tx.bytes);
    await world.run(3_000); // blocks, votes and the transaction run into what hangs
    const beganMs = world.clock.monotonicMs();
    await world.clock.runUntilSettled(node.stop(), 60_000);
    expect(world.clock.monotonicMs() - beganMs).toBeLessThan(5_000);
    expect(closed).toEqual(['api', 'store']);
  },
);

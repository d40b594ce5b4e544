import { expect, test, vi } from 'vitest';
import { encodeBlock } from '../../../chain/codec.ts';
import type { Block, BlockId, ChainEntry } from '../../../chain/types.ts';
import { checkBlockBody } from '../../../chain/validate/block-body.ts';
import type { FrameStream, Network, PeerKey } from '../../../node/ports.ts';
import { PeerFault } from '../../../node/requests/exchange.ts';
import { downloadBodies } from '../../../node/sync/download-bodies.ts';
import * as messages from '../../../node/sync/messages.ts';
import { BODIES } from '../../../node/sync/protocols.ts';
import { MemoryHub } from '../../../sim/memory-hub.ts';
import { createSeededRng } from '../../../sim/seeded-rng.ts';
import { Trace } from '../../../sim/trace.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { blockOn, entryOf, genesis, rules } from '../chain/chain-fixtures.ts';

const BLOCKS: readonly Block[] = (() => {
  const blocks: Block[] = [];
  for (let at = 0; at < 200; at++) blocks.push(blockOn(blocks.at(-1)?.header ?? genesis.entry.header, []));
  return blocks;
})();
const ENTRIES: readonly ChainEntry[] = (() => {
  const entries: ChainEntry[] = [];
  for (const { header } of BLOCKS) entries.push(entryOf(header, entries.at(-1) ?? genesis.entry));
  return entries;
})();
const BY_ID = new Map<BlockId, Block>(BLOCKS.map((block) => [block.header.id, block]));

type Serve = (ids: readonly BlockId[], stream: FrameStream, clock: VirtualClock) => Promise<void>;

const honest: Serve = async (ids, stream) => {
  for (const id of ids) await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(BY_ID.get(id)!) }));
  await stream.close();
};
/** One block in so many virtual milliseconds. */
const slow =
  (everyMs: number): Serve =>
  async (ids, stream, clock) => {
    for (const id of ids) {
      await clock.sleep(everyMs, new AbortController().signal);
      await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(BY_ID.get(id)!) }));
    }
    await stream.close();
  };
const forever = new AbortController().signal;
const stalls: Serve = () => new Promise(() => {});

interface Download {
  readonly connected: bigint[];
  readonly faults: [PeerKey, PeerFault['kind']][];
  /** Ids asked for, by peer. */
  readonly asked: Map<PeerKey, number>;
  readonly clock: VirtualClock;
  readonly ports: Map<PeerKey, Network>;
  readonly done: Promise<boolean>;
  readonly abort: AbortController;
  /** Heights whose signatures were checked ahead, in order. */
  readonly checked: bigint[];
  /** Blocks connected at once, each time. */
  readonly runs: number[];
}

async function download(
  peers: Record<PeerKey, Serve>,
  options: {
    readonly connect?: (block: Block, clock: VirtualClock) => Promise<void>;
    readonly checkAhead?: (block: Block, clock: VirtualClock) => Promise<void>;
    readonly mayGoOn?: (clock: VirtualClock) => boolean;
    /** Blocks to be had; default: all. */
    readonly count?: number;
  } = {},
): Promise<Download> {
  const clock = new VirtualClock(0);
  const link = { latencyMs: [10, 30] as const, jitterMs: 0, loss: 0 };
  const hub = new MemoryHub({ clock, rng: createSeededRng('bodies'), trace: new Trace(clock), link });
  const handlers = { onGossip() {}, onPeerConnected() {}, onPeerDisconnected() {} };
  const me = hub.createPort('me', clock);
  await me.start(handlers);
  const asked = new Map<PeerKey, number>();
  const ports = new Map<PeerKey, Network>();
  for (const [name, serve] of Object.entries(peers)) {
    const port = hub.createPort(name, clock);
    port.handle(BODIES, async (stream) => {
      for await (const request of stream.frames) {
        const ids = messages.decodeBodiesRequest(request)!;
        asked.set(name, (asked.get(name) ?? 0) + ids.length);
        await serve(ids, stream, clock);
      }
    });
    await port.start(handlers);
    ports.set(name, port);
    hub.link('me', name);
  }
  await clock.runUntil(() => me.peers().length === ports.size, 5_000);
  const connected: bigint[] = [];
  const checked: bigint[] = [];
  const runs: number[] = [];
  const faults: [PeerKey, PeerFault['kind']][] = [];
  const abort = new AbortController();
  const done = downloadBodies({
    network: me,
    clock,
    entries: ENTRIES.slice(0, options.count),
    peers: () => Object.keys(peers),
    checkBody: (block) => checkBlockBody(block, rules),
    checkAhead: async (block) => {
      checked.push(block.header.height);
      await options.checkAhead?.(block, clock);
    },
    connect: async (run) => {
      runs.push(run.length);
      for (const block of run) {
        expect(checked).toContain(block.header.height);
        await options.connect?.(block, clock);
        connected.push(block.header.height);
      }
    },
    onFault: (peer, error) => {
      if (!(error instanceof PeerFault)) throw error;
      faults.push([peer, error.kind]);
    },
    mayGoOn: () => options.mayGoOn?.(clock) ?? true,
    signal: abort.signal,
  });
  done.catch(() => undefined);
  return { connected, faults, asked, clock, ports, done, abort, checked, runs };
}

const ALL = ENTRIES.map(({ header }) => header.height);

test('bodies come from all peers and are connected in order, each asked for once', async () => {
  const { clock, done, connected, faults, asked } = await download({ a: honest, b: honest, c: honest });
  await clock.runUntilSettled(done, 60_000);
  expect(connected).toEqual(ALL);
  expect(faults).toEqual([]);
  expect([...asked.values()].reduce((sum, each) => sum + each, 0)).toBe(ALL.length);
  expect(Math.min(...asked.values())).toBeGreaterThan(0);
  expect(asked.size).toBe(3);
});

test('a peer that stalls is replaced and not asked again', async () => {
  const { clock, done, connected, faults, asked } = await download({ slow: stalls, b: honest });
  await clock.runUntilSettled(done, 60_000);
  expect(connected).toEqual(ALL);
  expect(new Set(faults.map(([peer, kind]) => `${peer} ${kind}`))).toEqual(new Set(['slow stalled']));
  expect(asked.get('slow')).toBeLessThanOrEqual(32);
});

const spoil =
  (
    change: (id: BlockId, ids: readonly BlockId[]) => { readonly id: BlockId; readonly block: Uint8Array | undefined },
  ): Serve =>
  async (ids, stream) => {
    for (const id of ids) await stream.send(messages.encodeBodyReply(change(id, ids)));
    await stream.close();
  };

test.each<readonly [string, Serve, PeerFault['kind']]>([
  ['does not have the block', spoil((id) => ({ id, block: undefined })), 'gone'],
  [
    'sends a body that does not fit',
    spoil((id) => ({ id, block: encodeBlock({ ...BY_ID.get(id)!, coinbase: 1n }) })),
    'invalid',
  ],
  ['sends another block', spoil((id) => ({ id, block: encodeBlock(BLOCKS.at(-1)!) })), 'invalid'],
  [
    'sends what was not asked for',
    spoil((_id) => ({ id: BLOCKS.at(-1)!.header.id, block: encodeBlock(BLOCKS.at(-1)!) })),
    'invalid',
  ],
  [
    'sends them in another order',
    spoil((id, ids) => ({ id: ids[ids.length - 1 - ids.indexOf(id)]!, block: undefined })),
    'invalid',
  ],
  ['sends garbage', async (_ids, stream) => stream.send(Uint8Array.of(0xff, 0xff)), 'invalid'],
  ['stops half-way', async (ids, stream, clock) => honest(ids.slice(0, 3), stream, clock), 'gone'],
  ['resets the stream', async (_ids, stream) => stream.abort(new Error('no')), 'gone'],
])('a peer that %s is at fault, and others give what it should have', async (_what, serve, kind) => {
  const { clock, done, connected, faults } = await download({ bad: serve, b: honest });
  await clock.runUntilSettled(done, 60_000);
  expect(connected).toEqual(ALL);
  const fault = ['bad', kind];
  expect(faults).toEqual([fault, fault]); // one for each of its two requests
});

test('more bodies than were asked for end the request', async () => {
  const { clock, done, faults } = await download({
    bad: (ids, stream, clock) => honest([...ids, BLOCKS.at(-1)!.header.id], stream, clock),
    b: honest,
  });
  await clock.runUntilSettled(done, 60_000);
  expect(faults.some(([peer, kind]) => peer === 'bad' && kind === 'invalid')).toBe(true);
});

test('a peer that disappears is replaced', async () => {
  const { clock, done, connected, ports } = await download({ a: honest, b: honest });
  await clock.runUntil(() => connected.length > 0, 5_000);
  await ports.get('a')!.stop();
  await clock.runUntilSettled(done, 60_000);
  expect(connected).toEqual(ALL);
});

test('with nobody left to ask it fails, and says which block is missing', async () => {
  const { clock, done } = await download({ a: stalls, b: spoil((id) => ({ id, block: undefined })) });
  await expect(clock.runUntilSettled(done, 60_000)).rejects.toThrow(`no peer gave block ${ENTRIES[0]!.header.id}`);
});

test('a block that is refused ends the download', async () => {
  const { clock, done, connected } = await download(
    { a: honest },
    {
      connect: async (block) => {
        if (block.header.height === 5n) throw new PeerFault('invalid', 'block/balance-low');
      },
    },
  );
  await expect(clock.runUntilSettled(done, 60_000)).rejects.toThrow('block/balance-low');
  expect(connected).toEqual(ALL.slice(0, 4));
});

test('an abort ends it at once, whatever the peers do', async () => {
  const { clock, done, abort } = await download({ a: stalls });
  abort.abort(new Error('stopping'));
  await expect(clock.runUntilSettled(done, 100)).rejects.toThrow('stopping');
});

test('an abort while a block is being connected and requests are on leaves no rejection unhandled', async () => {
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => {
    unhandled.push(error);
  };
  process.on('unhandledRejection', listener);
  try {
    let finishConnecting: (() => void) | undefined;
    const { clock, done, abort, connected, faults } = await download(
      { a: slow(200), b: slow(200) },
      {
        connect: (block) =>
          block.header.height < 3n
            ? Promise.resolve()
            : new Promise((resolve) => {
                finishConnecting = resolve;
              }),
      },
    );
    expect(await clock.runUntil(() => finishConnecting !== undefined, 10_000)).toBe(true);
    abort.abort(new Error('stopping'));
    await clock.run(5_000);
    finishConnecting?.();
    await expect(clock.runUntilSettled(done, 5_000)).rejects.toThrow('stopping');
    await clock.run(60_000);
    expect(connected).toEqual([1n, 2n, 3n]);
    expect(faults).toEqual([]);
  } finally {
    await new Promise((resolve) => setImmediate(resolve)); // Node reports what is unhandled after the microtasks
    process.off('unhandledRejection', listener);
  }
  expect(unhandled).toEqual([]);
});

test('no more than 64 blocks ahead of the next to connect are asked for', async () => {
  const { clock, asked, abort, done } = await download(
    { a: honest, b: honest, c: honest },
    { connect: () => new Promise(() => {}) },
  );
  await clock.run(20_000);
  expect([...asked.values()].reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(64);
  abort.abort(new Error('stopping'));
  expect(
    await Promise.race([
      done.then(
        () => 'done',
        () => 'failed',
      ),
      clock.run(10).then(() => 'waiting'),
    ]),
  ).toBe('waiting');
});

test('signatures are checked in the order of the chain, and none is connected before its own are', async () => {
  const slowCheck = new Set([3n, 40n]);
  const { clock, done, connected, checked } = await download(
    { a: honest, b: honest },
    {
      checkAhead: async (block, at) => {
        if (slowCheck.has(block.header.height)) await at.sleep(5_000, forever);
        slowCheck.delete(block.header.height);
      },
      connect: async (block) => {
        if (block.header.height >= 3n) expect(slowCheck.has(3n)).toBe(false);
        if (block.header.height >= 40n) expect(slowCheck.has(40n)).toBe(false);
      },
    },
  );
  await clock.runUntilSettled(done, 60_000);
  expect(checked).toEqual(ALL);
  expect(connected).toEqual(ALL);
});

test('what has arrived while blocks were being connected is connected together, 16 blocks at most', async () => {
  const { clock, done, connected, runs } = await download(
    { a: honest, b: honest },
    { connect: (block, at) => (block.header.height === 1n ? at.sleep(5_000, forever) : Promise.resolve()) },
  );
  await clock.runUntilSettled(done, 60_000);
  expect(connected).toEqual(ALL);
  expect(Math.max(...runs)).toBe(16);
});

test('a check that breaks ends the download', async () => {
  const { clock, done } = await download({ a: honest }, { checkAhead: () => Promise.reject(new Error('broken')) });
  await expect(clock.runUntilSettled(done, 60_000)).rejects.toThrow('broken');
});

test('when it may not go on it ends with what has been connected', async () => {
  const { clock, done, connected, faults } = await download(
    { a: slow(1_000) },
    { mayGoOn: (at) => at.monotonicMs() < 10_000 },
  );
  expect(await clock.runUntilSettled(done, 60_000)).toBe(false);
  expect(connected.length).toBeGreaterThan(0);
  expect(connected).toEqual(ALL.slice(0, connected.length));
  expect(faults).toEqual([]);
});

test.each([3, 40])(
  'a turn that ends while blocks are being written, of %s: nothing fires once it has ended',
  async (count) => {
    let isOver = false;
    const { clock, done } = await download(
      {
        a: async (ids, stream, at) => {
          for (const id of ids) await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(BY_ID.get(id)!) }));
          await at.sleep(1_200, new AbortController().signal); // the stream ends a while after its last body
          await stream.close();
        },
      },
      {
        count,
        connect: async (block, at) => {
          if (block.header.height === 3n) isOver = true;
          await at.sleep(500, new AbortController().signal);
        },
        mayGoOn: () => !isOver,
      },
    );
    expect(await clock.runUntilSettled(done, 200_000)).toBe(false);
    const after = vi.spyOn(clock, 'after');
    await clock.run(120_000); // throws what a timer throws
    expect(after.mock.calls.filter(([ms]) => ms >= 30_000)).toEqual([]);
  },
);

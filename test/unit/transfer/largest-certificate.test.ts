/**
 * The most votes that a link can have under an electorate of miners, from the rule to what carries it: while a net passes
 * from its founders to its miners, the rear electorate may hold W − 1 authors and all founders, the forward one W others.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { nextBits } from '../../../chain/asert.ts';
import { makeHeader, makeVote, txRootOf } from '../../../chain/codec.ts';
import { type Genesis, genesisDoc, MAX_LINK_VOTES, MAX_WINDOW, parseGenesis } from '../../../chain/genesis.ts';
import { bitsForHashes, meetsTarget } from '../../../chain/target.ts';
import type { Block, ChainEntry, Vote } from '../../../chain/types.ts';
import { type Address, addressOf } from '../../../crypto/address.ts';
import { createSystemRng } from '../../../node/adapters.ts';
import type { GrapevineNode } from '../../../node/compose.ts';
import { composeOffline, type OfflinePorts } from '../../../node/offline-node.ts';
import { decodeCertificate } from '../../../node/store/records.ts';
import type { Store } from '../../../node/store/store.ts';
import { MAX_VOTES_PER_REQUEST } from '../../../node/sync/protocols.ts';
import { exportChain } from '../../../node/transfer/export-chain.ts';
import { importChain } from '../../../node/transfer/import-chain.ts';
import { StreamDecoder } from '../../../node/transfer/stream-format.ts';
import { silentLogger } from '../../loggers.ts';
import { openMemoryStore } from '../store/open-store.ts';
import { BLOCK_MS, lateClock, receive, START_MS } from '../store/real-chain.ts';

const WINDOW = MAX_WINDOW;
/** As many as the genesis may list beside that window. */
const FOUNDERS = MAX_LINK_VOTES + 1 - 2 * WINDOW;
/** The rear electorate is as of this block, the last one with founders; the forward one as of the block a window above. */
const REAR = WINDOW - 1;
const FORWARD = REAR + WINDOW;

/** Signatures are taken as good: who votes is what counts here. */
function portsOn(store: Store): OfflinePorts {
  const verifier = { verify: async (items: readonly unknown[]) => items.map(() => true) };
  return { store, clock: lateClock, rng: createSystemRng(), logger: silentLogger, verifier };
}

/** A compressed key that nobody has the secret of. */
function keyAt(index: number): Uint8Array {
  const key = new Uint8Array(33);
  key[0] = 2;
  new DataView(key.buffer).setUint32(29, index);
  return key;
}

const founderAt = (index: number): Uint8Array => keyAt(1_000_000 + index);

function genesisWith(window: number, founders: number): Genesis {
  return parseGenesis(
    genesisDoc({
      name: 'large',
      timestampMs: START_MS,
      alloc: [],
      voters: Array.from({ length: founders }, (_, index) => addressOf(founderAt(index))),
      electorate: { kind: 'miners', window },
      params: { powLimitBits: bitsForHashes(2n), initialBits: bitsForHashes(2n) },
    }),
  );
}

const genesis = genesisWith(WINDOW, FOUNDERS);

function mineBy(parent: ChainEntry, miner: Address): Block {
  const { params, entry } = genesis;
  const height = parent.header.height + 1n;
  const coinbase = params.blockReward;
  const body = {
    height,
    parent: parent.header.id,
    txRoot: txRootOf({ height, miner }, coinbase, []),
    timestampMs: parent.header.timestampMs + BigInt(BLOCK_MS),
    bits: nextBits(
      params,
      { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs },
      entry.effectiveTimeMs,
    ),
    miner,
  };
  for (let nonce = 0n; ; nonce += 1n) {
    const header = makeHeader({ ...body, nonce });
    if (meetsTarget(header.id, header.bits)) return { header, coinbase, txs: [] };
  }
}

function voteFor(node: GrapevineNode, publicKey: Uint8Array, source: number, target: number): Vote {
  const [from, to] = [source, target].map((height) => node.chain.tree.mainAt(BigInt(height))!.header);
  const ends = { source: { height: from!.height, id: from!.id }, target: { height: to!.height, id: to!.id } };
  return makeVote({ chainId: genesis.chainId, publicKey, ...ends }, new Uint8Array(64));
}

/**
 * A chain of which every block is by another author, agreed with as few links as there can be, but for the last one, which
 * has every vote that counts: they are there before its source is agreed.
 */
async function buildLargest(store: Store): Promise<void> {
  const node = await composeOffline(genesis, portsOn(store));
  await node.agreement.follow();
  node.agreement.start();
  let parent = node.chain.tip;
  for (let height = 1; height <= FORWARD + 2; height += 1) {
    parent = await receive(node, mineBy(parent, addressOf(keyAt(height))));
  }
  const founders = Array.from({ length: FOUNDERS }, (_, index) => founderAt(index));
  const authors = Array.from({ length: FORWARD }, (_, index) => keyAt(index + 1));
  const cast = (source: number, target: number, voters: readonly Uint8Array[]): void => {
    for (const voter of voters) node.agreement.receiveVote(voteFor(node, voter, source, target));
  };
  cast(FORWARD + 1, FORWARD + 2, [...founders, ...authors]);
  const early = [...founders, ...authors.slice(0, REAR)];
  for (const [source, target] of [
    [0, REAR],
    [REAR, REAR + 1],
    [REAR + 1, FORWARD],
    [FORWARD, FORWARD + 1],
  ] as const) {
    cast(source, target, early);
  }
  await node.agreement.settled();
  await node.agreement.stop();
  await node.chain.idle();
}

describe('the largest certificate that there can be', () => {
  let store: Store;
  let bytes: Uint8Array;

  beforeAll(async () => {
    store = await openMemoryStore();
    await buildLargest(store);
    const parts: Uint8Array[] = [];
    const write = async (part: Uint8Array): Promise<void> => void parts.push(part);
    await exportChain(store, genesis, write, () => {});
    bytes = Buffer.concat(parts);
  });

  test('has as many votes as one answer of a peer holds', async () => {
    const certificate = await store.certificate(BigInt(FORWARD + 2));
    expect(new Set(certificate!.votes.map(({ voter }) => voter)).size).toBe(2 * WINDOW - 1 + FOUNDERS);
    expect(certificate!.votes).toHaveLength(MAX_LINK_VOTES);
    expect(MAX_LINK_VOTES).toBeLessThanOrEqual(MAX_VOTES_PER_REQUEST);
  });

  test('is exported, and imported again', async () => {
    const stream = async function* () {
      yield bytes;
    };
    const frames = new StreamDecoder(stream());
    await frames.genesis();
    let most = 0;
    for (let frame = await frames.frame(); frame.kind !== 'end'; frame = await frames.frame()) {
      if (frame.kind === 'certificate') most = Math.max(most, decodeCertificate(frame.content).votes.length);
    }
    expect(most).toBe(MAX_LINK_VOTES);

    const decoder = new StreamDecoder(stream());
    const theirs = await decoder.genesis();
    const report = await importChain(decoder, theirs, portsOn(await openMemoryStore()), () => {});
    expect(report).toMatchObject({ blocks: FORWARD + 2, final: { height: BigInt(FORWARD + 1) } });
    expect(report.statedFinal).toEqual(report.final);
  });
});

test.each([
  [MAX_WINDOW, FOUNDERS + 1],
  [525, 1_000],
  [526, 1_000],
])(
  'a genesis with a window of %d and %d founders is refused: they do not fit, and it says what does',
  (window, founders) => {
    const most = Math.floor((MAX_LINK_VOTES + 1 - founders) / 2);
    expect(() => genesisWith(window, founders)).toThrow(
      expect.objectContaining({
        name: 'GenesisError',
        field: 'electorate.window',
        message: expect.stringContaining(`at most ${most} with ${founders} voters`),
      }),
    );
    expect(genesisWith(most, founders).electorateRule).toEqual({ kind: 'miners', window: most });
  },
);

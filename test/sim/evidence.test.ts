import { expect, test } from 'vitest';
import { encodeEvidence, makeVote } from '../../chain/codec.ts';
import { makeEvidence } from '../../chain/evidence.ts';
import type { BlockId, Evidence, Vote } from '../../chain/types.ts';
import type { StreamProtocol } from '../../node/ports.ts';
import { decodeEvidenceRequest, encodeEvidenceChunk, encodeStatus } from '../../node/sync/messages.ts';
import { EVIDENCE, STATUS } from '../../node/sync/protocols.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { simulationKey } from '../../sim/world.ts';
import { publicKeyAt } from '../tree-fixtures.ts';
import { type Answer, startHostilePeer, statusLike } from './hostile-peer.ts';
import { doubleVote } from './liars.ts';
import { expectOneFinalChain, openWorld } from './open-world.ts';

const offendersOf = (sim: SimNode) => sim.node.agreement.rules.evidence.map(({ voter }) => voter);
const countsVotesOf = (sim: SimNode, name: string, fromHeight: number) =>
  sim.node.agreement.rules.votesFrom(BigInt(fromHeight)).some(({ voter }) => voter === simulationKey(name).address);

test('evidence heard by one node reaches all; the offender counts for nothing within two heights, and n stays', async () => {
  const world = openWorld({ nodes: 5 });
  await world.start();
  await world.untilFinal(5, 60_000);
  const teller = await startHostilePeer(world, { name: 'teller', links: ['a'] });
  await world.until('connected', () => teller.peers().length === 1, 5_000);
  const evidence = doubleVote(world, 'c', 3);
  const height = Math.max(...world.running.map((each) => each.height));
  await teller.publish('evidence', encodeEvidence(evidence));
  await world.until('all know', () => world.running.every((each) => offendersOf(each).length === 1), 4_000);
  for (const each of world.running) {
    expect(offendersOf(each), each.name).toEqual([simulationKey('c').address]);
    expect(each.height, each.name).toBeLessThanOrEqual(height + 2);
  }
  await world.untilFinal(height + 5, 60_000);
  for (const each of world.running) {
    expect(countsVotesOf(each, 'c', height + 2), each.name).toBe(false);
    expect(each.node.agreement.rules.quorum).toBe(4);
    expect(await each.internalErrors(), each.name).toBe(0);
  }
  expectOneFinalChain(world.running);
  expect(world.trace.lines().filter((line) => line.includes(' penalized '))).toEqual([]);
});

test('evidence is kept over a restart, and told to a node that was away or is new', async () => {
  const world = openWorld({ nodes: [...'abcd'].map((name) => ({ name, late: name === 'd' })) });
  await world.start();
  await world.untilFinal(3, 60_000, ['a', 'b', 'c']);
  world.node('b').kill();
  const teller = await startHostilePeer(world, { name: 'teller', links: ['a'] });
  await world.until('connected', () => teller.peers().length === 1, 5_000);
  await teller.publish('evidence', encodeEvidence(doubleVote(world, 'c', 2)));
  await world.until('a knows', () => offendersOf(world.node('a')).length === 1, 2_000);
  await world.run(500);
  await teller.stop();
  await world.node('a').restart();
  expect(offendersOf(world.node('a'))).toHaveLength(1);
  await world.node('c').restart();
  expect(offendersOf(world.node('c'))).toHaveLength(1);
  for (const name of ['b', 'd']) await world.node(name).start();
  await world.until('told', () => ['b', 'd'].every((name) => offendersOf(world.node(name)).length === 1), 15_000);
});

const PAGE = 256;

/** Serves evidence as a node does that knows of all these offenders, and counts the pages. */
async function startTeller(world: World, evidence: readonly Evidence[]): Promise<{ pages: number }> {
  const told = { pages: 0 };
  const all = [...evidence].sort((a, b) => (a.voter < b.voter ? -1 : 1));
  const answers = new Map<StreamProtocol, Answer>([
    [
      STATUS,
      async (_request, stream) =>
        stream.send(encodeStatus(statusLike(world.node('a'), { offenders: 'ff'.repeat(32) }))),
    ],
    [
      EVIDENCE,
      async (request, stream) => {
        const { after = '' } = decodeEvidenceRequest(request)!;
        const page = all.filter(({ voter }) => voter > after).slice(0, PAGE);
        told.pages += 1;
        await stream.send(encodeEvidenceChunk(page.map(encodeEvidence)));
        await stream.close();
      },
    ],
  ]);
  await startHostilePeer(world, { name: 'teller', links: ['a'], answers });
  return told;
}

/** Against a voter that nobody has heard of, with signatures that nobody has made. */
function strangersEvidence(world: World, index: number): Evidence {
  const { chainId, entry } = world.genesis;
  const source = { height: 0n, id: entry.header.id };
  const vote = (digit: string): Vote =>
    makeVote(
      { chainId, publicKey: publicKeyAt(index), source, target: { height: 1n, id: digit.repeat(64) as BlockId } },
      new Uint8Array(64),
    );
  return makeEvidence(vote('a'), vote('b'))!;
}

test('EVID-3: a peer with endless evidence against strangers is asked for few pages, seldomer each time', async () => {
  const world = openWorld({ nodes: 2, miners: { window: 10, founders: ['a', 'b'] } });
  await world.start();
  const strangers = Array.from({ length: 5 * PAGE }, (_, index) => strangersEvidence(world, index));
  const told = await startTeller(world, strangers);
  await world.run(60_000);
  expect(told.pages).toBeGreaterThan(0);
  expect(told.pages).toBeLessThan(8); // at 0, 5, 15 and 35 seconds, and 5 after an author was new
  expect(offendersOf(world.node('a'))).toEqual([]);
});

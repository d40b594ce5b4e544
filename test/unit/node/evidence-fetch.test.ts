import { expect, test } from 'vitest';
import { Agreement } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import { decodeEvidence, encodeEvidence } from '../../../chain/codec.ts';
import type { ElectorateRule } from '../../../chain/electorate.ts';
import { makeEvidence } from '../../../chain/evidence.ts';
import type { BlockId, Evidence, Vote } from '../../../chain/types.ts';
import { EvidenceFetch } from '../../../node/sync/evidence-fetch.ts';
import { decodeEvidenceRequest, encodeEvidenceChunk } from '../../../node/sync/messages.ts';
import { EVIDENCE } from '../../../node/sync/protocols.ts';
import { chainOn, checkpointOf, genesisEntry, senderAt, voteOf } from '../../tree-fixtures.ts';
import { openLab } from './conversation-lab.ts';

const PAGE = 256;
const GENESIS = genesisEntry();
const MINERS: ElectorateRule = { kind: 'miners', window: 10 };
const forever = new AbortController().signal;

function evidenceAgainst(index: number): Evidence {
  const vote = (digit: string): Vote => voteOf(index, GENESIS, { height: 1n, id: digit.repeat(64) as BlockId });
  return makeEvidence(vote('a'), vote('b'))!;
}

const byVoter = (a: Evidence, b: Evidence): number => (a.voter < b.voter ? -1 : 1);

interface LabOptions {
  readonly voters: number;
  /** Of the peer, in order. */
  readonly all: readonly Evidence[];
  /** It serves one page and hangs up on the next request. */
  readonly hangsUp?: boolean;
}

async function listen({ voters, all, hangsUp = false }: LabOptions) {
  const agreement = new Agreement({
    electorate: Array.from({ length: voters }, (_, index) => senderAt(index)),
    rule: MINERS,
    genesis: checkpointOf(GENESIS),
    checkpointInterval: 1,
  });
  const faults: unknown[] = [];
  let pages = 0;
  const lab = await openLab(['peer'], (port) => {
    port.handle(EVIDENCE, async (stream) => {
      for await (const request of stream.frames) {
        const { after = '' } = decodeEvidenceRequest(request)!;
        pages += 1;
        if (hangsUp && after !== '') throw new Error('hangs up');
        const page = all.filter(({ voter }) => voter > after).slice(0, PAGE);
        await stream.send(encodeEvidenceChunk(page.map(encodeEvidence)));
        break;
      }
      await stream.close();
    });
  });
  const fetch = new EvidenceFetch({
    network: lab.me,
    clock: lab.clock,
    agreement: { rules: agreement },
    metrics: { syncRequests: { inc() {} } } as never,
    receiveEvidence: async (encoded) => {
      for (const bytes of encoded) {
        const decoded = decodeEvidence(bytes);
        if (decoded.ok) agreement.addEvidence(decoded.value);
      }
      return undefined;
    },
    onFault: (_peer, error) => faults.push(error),
    signal: forever,
  });
  return {
    agreement,
    faults,
    /** How many pages were asked for, where the peer speaks of others each second. */
    pagesWithin: async (seconds: number): Promise<number> => {
      const before = pages;
      for (let second = 0; second < seconds; second += 1) {
        fetch.onOtherOffenders('peer');
        await lab.clock.run(1_000);
      }
      return pages - before;
    },
  };
}

const all600 = Array.from({ length: 600 }, (_, index) => evidenceAgainst(index)).sort(byVoter);

test('all pages of a peer come, whether the first of them are known or not', async () => {
  for (const known of [0, 1, 2]) {
    const lab = await listen({ voters: 600, all: all600 });
    for (const evidence of all600.slice(0, known * PAGE)) lab.agreement.addEvidence(evidence);
    expect(await lab.pagesWithin(1)).toBe(3);
    expect(lab.agreement.evidence).toHaveLength(600);
    expect(lab.faults).toEqual([]);
  }
});

test('a peer that has nothing new is asked again after 5, 10, 20 … seconds', async () => {
  const lab = await listen({ voters: 600, all: all600.slice(0, 300) });
  for (const evidence of all600) lab.agreement.addEvidence(evidence);
  expect(await lab.pagesWithin(5)).toBe(2);
  expect(await lab.pagesWithin(10)).toBe(2);
  expect(await lab.pagesWithin(20)).toBe(2);
  expect(await lab.pagesWithin(3600)).toBeLessThan(2 * 30);
});

test('EVID-3: pages of strangers end with the first, until blocks have come that make voters of them', async () => {
  const all = all600.filter(({ voter }) => voter !== senderAt(0) && voter !== senderAt(1));
  const lab = await listen({ voters: 2, all });
  expect(await lab.pagesWithin(5)).toBe(1);
  expect(await lab.pagesWithin(9)).toBe(1);
  const [block] = chainOn(GENESIS, 1, { miner: all[0]!.voter });
  lab.agreement.onBlock(block!, new BlockTree([GENESIS, block!]));
  expect(await lab.pagesWithin(1)).toBe(2);
  expect(lab.agreement.isOffender(all[0]!.voter)).toBe(true);
});

test('pages of strangers with one known offender on each are bounded by how many there can be', async () => {
  const strangers = Array.from({ length: 8 * PAGE }, (_, index) => evidenceAgainst(10_000 + index));
  const known = all600.filter((_, index) => index % 60 === 0);
  const lab = await listen({ voters: 600, all: [...strangers, ...known].sort(byVoter) });
  for (const evidence of known) lab.agreement.addEvidence(evidence);
  expect(await lab.pagesWithin(1)).toBe(4);
});

test('a peer that hangs up in between is left alone too', async () => {
  const lab = await listen({ voters: 600, all: all600, hangsUp: true });
  for (const evidence of all600) lab.agreement.addEvidence(evidence);
  expect(await lab.pagesWithin(5)).toBe(2);
  expect(await lab.pagesWithin(3)).toBe(2);
  expect(lab.faults).toHaveLength(2);
});

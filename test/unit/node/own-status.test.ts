import { expect, test } from 'vitest';
import type { BlockId, Checkpoint } from '../../../chain/types.ts';
import { OwnStatus, type OwnStatusDeps } from '../../../node/sync/own-status.ts';
import type { PeerStatus } from '../../../node/sync/peer-status.ts';
import { fixtureGenesis } from '../../node-fixture.ts';
import { alice } from '../chain/chain-fixtures.ts';

const genesis = fixtureGenesis([alice.address]);
const { header } = genesis.entry;

/** The node's parts, to be changed by the test. */
function createParts() {
  const origin: Checkpoint = { height: header.height, id: header.id };
  return {
    chain: { genesis, tip: genesis.entry },
    agreement: { agreed: origin, final: origin, rules: { offendersDigest: '00'.repeat(32) } },
    software: 'test/1',
    mempool: '00'.repeat(8),
  };
}

type Parts = ReturnType<typeof createParts>;

function ownStatusOf(parts: Parts): OwnStatus {
  const deps: OwnStatusDeps = {
    get chain() {
      return parts.chain;
    },
    get agreement() {
      return parts.agreement;
    },
    software: parts.software,
    mempoolFingerprint: () => parts.mempool,
  };
  return new OwnStatus(deps);
}

test('says where the node stands, and is made once for as long as it stands there', () => {
  const parts = createParts();
  const own = ownStatusOf(parts);
  const first = own.now();
  expect(first).toEqual({
    chainId: genesis.chainId,
    software: 'test/1',
    tip: { height: 0n, id: header.id },
    totalWork: genesis.entry.totalWork,
    agreed: parts.agreement.agreed,
    final: parts.agreement.final,
    offenders: '00'.repeat(32),
    mempool: '00'.repeat(8),
  });
  expect(own.now()).toBe(first);
});

const next: Checkpoint = { height: 1n, id: '01'.repeat(32) as BlockId };

test.each<[string, (parts: Parts) => void, Partial<PeerStatus>]>([
  [
    'the tip',
    (parts) => {
      parts.chain.tip = { ...genesis.entry, totalWork: 9n, header: { ...header, height: 1n, id: next.id } };
    },
    { tip: next, totalWork: 9n },
  ],
  [
    'the agreed block',
    (parts) => {
      parts.agreement.agreed = next;
    },
    { agreed: next },
  ],
  [
    'the final block',
    (parts) => {
      parts.agreement.final = next;
    },
    { final: next },
  ],
  [
    'the offenders',
    (parts) => {
      parts.agreement.rules.offendersDigest = '11'.repeat(32);
    },
    { offenders: '11'.repeat(32) },
  ],
  [
    'the mempool',
    (parts) => {
      parts.mempool = '22'.repeat(8);
    },
    { mempool: '22'.repeat(8) },
  ],
])('follows %s', (_what, change, expected) => {
  const parts = createParts();
  const own = ownStatusOf(parts);
  const before = own.now();
  change(parts);
  expect(own.now()).toEqual({ ...before, ...expected });
});

import { describe, expect, test } from 'vitest';
import { decodeEvidence, encodeEvidence, makeVote } from '../../../chain/codec.ts';
import { makeEvidence, offendersDigest } from '../../../chain/evidence.ts';
import { EVIDENCE_BYTES, VOTE_BYTES } from '../../../chain/params.ts';
import type { Evidence, Vote } from '../../../chain/types.ts';
import { checkEvidenceStateless, evidenceSignatureItems } from '../../../chain/validate/evidence.ts';
import { fc } from '../../fast-check.ts';
import { addressAt, chainOn, checkpointOf, genesisEntry, publicKeyAt, voteOf } from '../../tree-fixtures.ts';

const genesis = genesisEntry();
const a = [genesis, ...chainOn(genesis, 8, { salt: 1 })];
const b = [genesis, ...chainOn(genesis, 8, { salt: 2 })];
const context = { chainId: voteOf(0, a[0]!, a[1]!).chainId, checkpointInterval: 1 };
const double = makeEvidence(voteOf(0, a[0]!, a[2]!), voteOf(0, a[0]!, b[2]!))!;
const surround = makeEvidence(voteOf(0, a[1]!, a[5]!), voteOf(0, a[2]!, a[4]!))!;
const fault = (evidence: Evidence) => checkEvidenceStateless(evidence, context);
const contradictsNothing = { kind: 'reject', reason: 'evidence/not-contradictory' };

describe('EVID-1: evidence has one encoding', () => {
  test.each([double, surround])('that decodes to itself: %#', (evidence) => {
    const bytes = encodeEvidence(evidence);
    expect(bytes).toHaveLength(EVIDENCE_BYTES);
    expect(decodeEvidence(bytes)).toEqual({ ok: true, value: evidence });
  });

  test('whichever vote came first', () => {
    const { first, second } = double;
    expect(makeEvidence(second, first)).toEqual(double);
    expect(makeEvidence(first, second)).toEqual(double);
    expect(surround.first.target.height).toBe(4n); // the inner one
  });

  test('the other order, other lengths, other kinds and broken votes are malformed', () => {
    const bytes = encodeEvidence(double);
    const swapped = new Uint8Array([0, ...double.second.bytes, ...double.first.bytes]);
    const twice = new Uint8Array([0, ...double.first.bytes, ...double.first.bytes]);
    const otherKind = Uint8Array.from(bytes).fill(2, 0, 1);
    const badVersion = Uint8Array.from(bytes).fill(9, 1 + VOTE_BYTES, 2 + VOTE_BYTES);
    for (const bad of [swapped, twice, otherKind, badVersion, bytes.subarray(1), new Uint8Array([...bytes, 0])]) {
      expect(decodeEvidence(bad).ok).toBe(false);
    }
  });

  test('any bytes decode to a value or not, and what decodes encodes to the same bytes', () => {
    const near = fc.tuple(fc.nat(EVIDENCE_BYTES - 1), fc.nat(255)).map(([at, value]) => {
      const bytes = encodeEvidence(surround);
      bytes[at] = value;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 450 })), (bytes) => {
        const decoded = decodeEvidence(bytes);
        if (decoded.ok) expect(encodeEvidence(decoded.value)).toEqual(bytes);
      }),
    );
  });
});

describe('checkEvidenceStateless', () => {
  test('accepts a double and a surround vote', () => {
    for (const evidence of [double, surround]) expect(fault(evidence)).toEqual({ kind: 'accept', value: evidence });
  });

  test('EVID-2: votes of another chain are rejected, whichever of the two', () => {
    const elsewhere = (vote: Vote): Vote => ({ ...vote, chainId: '11'.repeat(32) as Vote['chainId'] });
    const wrong = { kind: 'reject', reason: 'evidence/wrong-chain' };
    expect(fault({ ...double, first: elsewhere(double.first) })).toEqual(wrong);
    expect(fault({ ...double, second: elsewhere(double.second) })).toEqual(wrong);
  });

  test('EVID-4: votes that an honest voter can cast, or of two voters, are rejected', () => {
    expect(fault({ ...double, second: voteOf(0, a[2]!, a[3]!) })).toEqual(contradictsNothing);
    expect(fault({ ...double, second: voteOf(1, a[0]!, b[2]!) })).toEqual(contradictsNothing);
    expect(fault({ ...double, second: double.first })).toEqual(contradictsNothing);
    expect(makeEvidence(voteOf(0, a[0]!, a[2]!), voteOf(0, a[2]!, a[3]!))).toBeUndefined();
  });

  test('EVID-4: the kind is the one that the votes show', () => {
    expect(fault({ ...double, kind: 'surround' })).toEqual(contradictsNothing);
    expect(fault({ ...surround, kind: 'double' })).toEqual(contradictsNothing);
  });

  test('EVID-4: a vote that breaks VOTE-4 contradicts nothing', () => {
    const falling = makeEvidence(voteOf(0, a[5]!, a[2]!), voteOf(0, a[0]!, b[2]!))!;
    expect(fault(falling)).toEqual(contradictsNothing);
    const offGrid = { ...context, checkpointInterval: 2 };
    expect(checkEvidenceStateless(surround, offGrid)).toEqual(contradictsNothing);
  });

  test('EVID-4: a vote signed twice is no contradiction', () => {
    const vote = voteOf(0, a[0]!, a[2]!);
    const body = { chainId: vote.chainId, publicKey: publicKeyAt(0), source: checkpointOf(a[0]!) };
    const again = makeVote({ ...body, target: checkpointOf(a[2]!) }, new Uint8Array(64).fill(1));
    expect(again.id).toBe(vote.id);
    expect(makeEvidence(vote, again)).toBeUndefined();
  });

  test('EVID-5: both votes’ signatures are to be checked', () => {
    expect(evidenceSignatureItems(double).map(({ signature }) => signature)).toEqual([
      double.first.signature,
      double.second.signature,
    ]);
  });
});

test('the digest of a set of offenders does not depend on their order', () => {
  const [x, y, z] = [1, 2, 3].map(addressAt);
  expect(offendersDigest([x!, y!, z!])).toEqual(offendersDigest([z!, x!, y!]));
  expect(offendersDigest([x!, y!])).not.toEqual(offendersDigest([x!, z!]));
  expect(offendersDigest([])).toHaveLength(32);
});

import { describe, expect, test } from 'vitest';
import { type CertificateParts, certificateDocument } from '../../../chain/certificate-document.ts';
import { makeVote } from '../../../chain/codec.ts';
import { bitsForHashes } from '../../../chain/target.ts';
import { CERTIFICATE_FAULTS, type CertificateFault, verifyCertificate } from '../../../chain/verify-certificate.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { checkpointOf } from '../../tree-fixtures.ts';
import {
  certifiedGenesis,
  headersOf,
  minedChain,
  minedChild,
  OUTSIDER,
  signedLink,
  VOTERS,
} from './certified-chain.ts';

const genesis = certifiedGenesis();
const elsewhere = certifiedGenesis('elsewhere');
const chain = minedChain(genesis, 6);
const fork = minedChild(genesis, chain[3]!, { miner: OUTSIDER.address });
const link = (source: number, target: number, voters = VOTERS.slice(0, 3)) =>
  signedLink(genesis, chain[source]!, chain[target]!, voters);

/** Block 4 final: 0 → 1 → 2 → 4 → 5, where 3 was not agreed. */
const GOOD: CertificateParts = {
  chainId: genesis.chainId,
  block: checkpointOf(chain[4]!),
  state: 'final',
  from: checkpointOf(chain[0]!),
  headers: headersOf(chain.slice(0, 6)),
  links: [link(0, 1), link(1, 2), link(2, 4), link(4, 5, VOTERS.slice(1))],
};

const GOOD_DOCUMENT = certificateDocument(GOOD);

const verify = (changes: Partial<CertificateParts>, by = genesis) =>
  verifyCertificate(JSON.parse(JSON.stringify(certificateDocument({ ...GOOD, ...changes }))), by, nobleBackend);
/** The good one with one link replaced. */
const withLink = (index: number, changed: (typeof GOOD.links)[number]) =>
  verify({ links: GOOD.links.with(index, changed) });

describe('a certificate that holds', () => {
  test('says block, state, electorate and who signed', () => {
    expect(verify({})).toEqual({
      ok: true,
      proof: {
        block: checkpointOf(chain[4]!),
        state: 'final',
        proved: 'final',
        headers: 5,
        totalWork: chain[5]!.totalWork,
        links: 4,
        decidedBy: {
          source: checkpointOf(chain[2]!),
          target: checkpointOf(chain[4]!),
          voters: VOTERS.slice(0, 3).map(({ address }) => address),
          tallies: [{ asOf: checkpointOf(chain[0]!), weight: 3, total: 4, quorum: 3 }],
        },
      },
    });
  });

  test('proves agreed without the link to the direct child', () => {
    const verdict = verify({ state: 'agreed', links: GOOD.links.slice(0, 3) });
    expect(verdict).toMatchObject({ ok: true, proof: { state: 'agreed', block: { height: 4n } } });
  });

  test('proves a block below the target, as its descendant is voted for', () => {
    const verdict = verify({ block: checkpointOf(chain[3]!) });
    expect(verdict).toMatchObject({ ok: true, proof: { state: 'final', decidedBy: { target: { height: 4n } } } });
  });

  test('of genesis needs no votes', () => {
    const verdict = verify({ block: checkpointOf(chain[0]!), headers: [], links: [] });
    expect(verdict).toMatchObject({ ok: true, proof: { state: 'final', decidedBy: undefined } });
  });
});

describe('a certificate with a fault is refused, naming it', () => {
  const cases: readonly (readonly [CertificateFault, string, () => ReturnType<typeof verify>, RegExp])[] = [
    [
      'certificate/malformed',
      'no document',
      () => verifyCertificate({ format: 'grapevine-certificate/1' }, genesis, nobleBackend),
      /^chainId is missing$/,
    ],
    [
      'certificate/malformed',
      'a header cut short',
      () => {
        const headers = [GOOD_DOCUMENT.headers[0]!.slice(2), ...GOOD_DOCUMENT.headers.slice(1)];
        return verifyCertificate({ ...GOOD_DOCUMENT, headers }, genesis, nobleBackend);
      },
      /headers\[0\] must be 226 hex digits, not 224/,
    ],
    [
      'certificate/malformed',
      'a header of millions of digits',
      () => {
        const headers = [...GOOD_DOCUMENT.headers, 'ab'.repeat(8_000_000)];
        return verifyCertificate({ ...GOOD_DOCUMENT, headers }, genesis, nobleBackend);
      },
      /headers\[5\] must be 226 hex digits, not 16000000/,
    ],
    [
      'certificate/malformed',
      'a vote of millions of digits',
      () => {
        const first = { ...GOOD_DOCUMENT.links[0]!, votes: ['ab'.repeat(8_000_000)] };
        return verifyCertificate({ ...GOOD_DOCUMENT, links: [first] }, genesis, nobleBackend);
      },
      /links\[0\]\.votes\[0\] must be 420 hex digits, not 16000000/,
    ],
    [
      'certificate/malformed',
      'a vote that is not hex',
      () => {
        const first = { ...GOOD_DOCUMENT.links[0]!, votes: ['g'.repeat(420)] };
        return verifyCertificate({ ...GOOD_DOCUMENT, links: [first] }, genesis, nobleBackend);
      },
      /links\[0\]\.votes\[0\] must be lower-case hex/,
    ],
    ['certificate/wrong-chain', 'another genesis', () => verify({}, elsewhere), /it is of chain .*, the genesis makes/],
    [
      'certificate/header-not-linked',
      'a header left out',
      () => verify({ headers: GOOD.headers.toSpliced(2, 1) }),
      /headers\[2\], 4 .* after 2 /,
    ],
    [
      'certificate/header-not-linked',
      'a wrong height',
      () => verify({ headers: [...GOOD.headers, minedChild(genesis, chain[5]!, { height: 9n }).header] }),
      /block\/wrong-height/,
    ],
    [
      'certificate/bad-pow',
      'a header without its work',
      () => verify({ headers: [...GOOD.headers, minedChild(genesis, chain[5]!, {}, false).header] }),
      /headers\[5\], 6 .*block\/bad-pow/,
    ],
    [
      'certificate/wrong-bits',
      'another difficulty',
      () => verify({ headers: [...GOOD.headers, minedChild(genesis, chain[5]!, { bits: bitsForHashes(3n) }).header] }),
      /block\/wrong-target/,
    ],
    [
      'certificate/bad-timestamp',
      'a timestamp below the median',
      () => verify({ headers: [...GOOD.headers, minedChild(genesis, chain[5]!, { timestampMs: 1n }).header] }),
      /block\/timestamp-too-old/,
    ],
    [
      'certificate/unagreed-source',
      'a link whose source no link agrees',
      () => verify({ links: GOOD.links.toSpliced(1, 1) }),
      /links\[1\], 2 → 4: no link before it agrees its source 2 /,
    ],
    [
      'certificate/unagreed-source',
      'links that do not begin at genesis',
      () => verify({ from: checkpointOf(chain[1]!), headers: GOOD.headers.slice(1), links: GOOD.links.slice(1) }),
      /it begins at 1 .*, not at genesis/,
    ],
    [
      'certificate/wrong-target',
      'a target on another branch',
      () => withLink(2, signedLink(genesis, chain[2]!, fork)),
      /links\[2\], 2 → 4: its target 4 .* is not among the headers/,
    ],
    [
      'certificate/wrong-target',
      'a target above the headers',
      () => verify({ headers: GOOD.headers.slice(0, 4) }),
      /its target 5 .* is not among the headers/,
    ],
    ['certificate/bad-span', 'a link that falls', () => withLink(1, signedLink(genesis, chain[1]!, chain[1]!)), /rise/],
    [
      'certificate/bad-order',
      'a link twice',
      () => verify({ links: GOOD.links.toSpliced(2, 0, GOOD.links[1]!) }),
      /links\[2\], 1 → 2: its target is not above 2, that of the link before it/,
    ],
    [
      'certificate/bad-order',
      'links out of order',
      () => verify({ links: [...GOOD.links.slice(0, 2), link(2, 5), link(2, 4)] }),
      /links\[3\], 2 → 4: its target is not above 5, that of the link before it/,
    ],
    [
      'certificate/bad-order',
      'two links to one target',
      () => verify({ links: [...GOOD.links.slice(0, 2), link(0, 2), ...GOOD.links.slice(2)] }),
      /links\[2\], 0 → 2: its target is not above 2/,
    ],
    [
      'certificate/vote-wrong-chain',
      'a vote of another chain',
      () => {
        const foreign = signedLink(elsewhere, chain[1]!, chain[2]!, VOTERS.slice(2, 3)).votes;
        return withLink(1, { ...GOOD.links[1]!, votes: [...GOOD.links[1]!.votes.slice(0, 2), ...foreign] });
      },
      /links\[1\], 1 → 2: the vote of gv1.* is of another chain/,
    ],
    [
      'certificate/vote-other-link',
      'a vote for another link',
      () => withLink(1, { ...GOOD.links[1]!, votes: [...GOOD.links[1]!.votes.slice(0, 2), link(0, 2).votes[2]!] }),
      /links\[1\], 1 → 2: the vote of gv1.* is for 0 .* → 2 /,
    ],
    [
      'certificate/not-elector',
      'a voter outside the electorate',
      () => withLink(1, link(1, 2, [...VOTERS.slice(0, 2), OUTSIDER])),
      /not in the electorate/,
    ],
    [
      'certificate/duplicate-voter',
      'a voter twice',
      () => withLink(1, link(1, 2, [VOTERS[0]!, VOTERS[1]!, VOTERS[1]!])),
      /is there twice/,
    ],
    [
      'certificate/bad-signature',
      'a signature by another key',
      () => {
        const { votes } = GOOD.links[1]!;
        return withLink(1, { ...GOOD.links[1]!, votes: votes.with(2, makeVote(votes[2]!, votes[0]!.signature)) });
      },
      /links\[1\], 1 → 2: the vote of gv1.* is not signed by it/,
    ],
    [
      'certificate/too-few-votes',
      'two of four votes',
      () => withLink(1, link(1, 2, VOTERS.slice(0, 2))),
      /links\[1\], 1 → 2: 2 votes of 4, not more than two thirds/,
    ],
    [
      'certificate/wrong-block',
      'about a block of another branch',
      () => verify({ block: checkpointOf(fork) }),
      /block 4 .* is not among its headers/,
    ],
    [
      'certificate/wrong-block',
      'about a block above its links',
      () => verify({ block: checkpointOf(chain[5]!), links: GOOD.links.slice(0, 3) }),
      /its links end at 4 .*, below block 5 /,
    ],
    [
      'certificate/not-final',
      'claims final, proves agreed',
      () => verify({ links: GOOD.links.slice(0, 3) }),
      /block 4 .* is agreed, but no link goes from it or above to a direct child/,
    ],
  ];

  test.each(cases)('%s: %s', (fault, _, run, detail) => {
    expect(run()).toEqual({ ok: false, fault, detail: expect.stringMatching(detail) });
  });

  test('each kind has a test', () => {
    expect(new Set(cases.map(([fault]) => fault))).toEqual(new Set(CERTIFICATE_FAULTS));
  });

  test('whatever single byte of it is changed', () => {
    const text = JSON.stringify(certificateDocument(GOOD));
    const hex = [...text.matchAll(/[0-9a-f]{60,}/g)].map((match) => [match.index, match[0].length] as const);
    for (const [i, [start, length]] of hex.entries()) {
      const at = start + ((i * 37) % length);
      const other = text[at] === '0' ? '1' : '0';
      const verdict = verifyCertificate(
        JSON.parse(`${text.slice(0, at)}${other}${text.slice(at + 1)}`),
        genesis,
        nobleBackend,
      );
      expect(verdict.ok, `character ${at}`).toBe(false);
    }
  });
});

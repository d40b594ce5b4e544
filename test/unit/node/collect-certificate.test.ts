import { describe, expect, test } from 'vitest';
import { BlockTree } from '../../../chain/block-tree.ts';
import type { CertifiedState } from '../../../chain/certificate-document.ts';
import type { BlockId, Certificate } from '../../../chain/types.ts';
import { verifyCertificate } from '../../../chain/verify-certificate.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { CERTIFICATE_LIMITS, collectCertificate } from '../../../node/agreement/collect-certificate.ts';
import { checkpointOf } from '../../tree-fixtures.ts';
import { certifiedGenesis, minedChain, minedChild, signedLink, VOTERS } from '../chain/certified-chain.ts';

const genesis = certifiedGenesis();
const entries = minedChain(genesis, 9);
const side = minedChild(genesis, entries[2]!, { timestampMs: entries[2]!.header.timestampMs + 1n });

/** Agreed: 1, 2, 4, 5, 6 and 8, each from the one before; final: 1, 4 and 5. */
const PATH = [0, 1, 2, 4, 5, 6, 8] as const;

function collect(
  height: number,
  wanted?: CertifiedState,
  limits = CERTIFICATE_LIMITS,
  dropped: readonly number[] = [],
) {
  const tree = new BlockTree([...entries, side]);
  tree.setTip(entries[9]!.header.id);
  const certificates = new Map<bigint, Certificate>();
  for (const [i, target] of PATH.slice(1).entries()) {
    certificates.set(BigInt(target), signedLink(genesis, entries[PATH[i]!]!, entries[target]!));
  }
  certificates.set(3n, signedLink(genesis, entries[2]!, side)); // agreed, on a branch that lost
  for (const each of dropped) certificates.delete(BigInt(each));
  const agreement = { agreed: checkpointOf(entries[8]!), final: checkpointOf(entries[5]!) };
  const store = {
    certificate: async (at: bigint) => certificates.get(at),
    certificatesFrom: async (from: bigint, votes: number) => rangeOf(certificates, from, votes),
  };
  return collectCertificate(BigInt(height), wanted, { store, chain: { tree, genesis }, agreement }, limits);
}

/** As a store answers. */
function rangeOf(certificates: ReadonlyMap<bigint, Certificate>, from: bigint, votes: number): Certificate[] {
  const found: Certificate[] = [];
  for (const height of [...certificates.keys()].sort((a, b) => Number(a - b)).filter((at) => at >= from)) {
    if (found.reduce((sum, each) => sum + each.votes.length, 0) >= votes) break;
    found.push(certificates.get(height)!);
  }
  return found;
}

const spans = (document: Awaited<ReturnType<typeof collect>>) =>
  document?.links.map(({ source, target }) => `${source.height}-${target.height}`);

describe('collectCertificate', () => {
  test('what it gives verifies, for every block that is agreed or final', async () => {
    for (let height = 0; height <= 8; height += 1) {
      const document = await collect(height);
      const verdict = verifyCertificate(JSON.parse(JSON.stringify(document)), genesis, nobleBackend);
      expect(verdict, `height ${height}`).toMatchObject({
        ok: true,
        proof: { block: { height: BigInt(height) }, state: height <= 5 ? 'final' : 'agreed' },
      });
    }
  });

  test('a final block comes with the lowest final checkpoint at or above it', async () => {
    expect(spans(await collect(1))).toEqual(['0-1', '1-2']);
    expect(spans(await collect(2))).toEqual(['0-1', '1-2', '2-4', '4-5']);
    expect(spans(await collect(3))).toEqual(['0-1', '1-2', '2-4', '4-5']);
    expect((await collect(3))?.headers).toHaveLength(5);
  });

  test('asked for less, it proves less', async () => {
    expect(await collect(2, 'agreed')).toMatchObject({ state: 'agreed' });
    expect(spans(await collect(2, 'agreed'))).toEqual(['0-1', '1-2']);
    expect(spans(await collect(7))).toEqual(['0-1', '1-2', '2-4', '4-5', '5-6', '6-8']);
  });

  test('there is none for what is not agreed, not final when that is asked, or not there', async () => {
    expect(await collect(9)).toBeUndefined();
    expect(await collect(6, 'final')).toBeUndefined();
    expect(await collect(99)).toBeUndefined();
  });

  test('where votes of a link are gone, it is what is left: the upper piece, or agreed', async () => {
    const piece = await collect(6, undefined, CERTIFICATE_LIMITS, [2]);
    expect(spans(piece)).toEqual(['2-4', '4-5', '5-6']);
    expect(piece).toMatchObject({ from: { height: '2' } });
    expect(await collect(5, undefined, CERTIFICATE_LIMITS, [6])).toMatchObject({ state: 'agreed' });
  });

  test('many that were agreed on branches that lost are passed over', async () => {
    const long = minedChain(genesis, 60);
    const tree = new BlockTree(long);
    tree.setTip(long.at(-1)!.header.id);
    const lost = (height: number): Certificate => {
      const link = signedLink(genesis, long[0]!, { height: BigInt(height), id: other(height) }, VOTERS.slice(0, 1));
      return { ...link, votes: Array.from({ length: 100 }, () => link.votes[0]!) }; // each a page of its own
    };
    const certificates = new Map(Array.from({ length: 50 }, (_, at) => [BigInt(at + 5), lost(at + 5)]));
    certificates.set(58n, signedLink(genesis, long[0]!, long[58]!));
    const document = await collectCertificate(5n, 'agreed', {
      store: {
        certificate: async (at) => certificates.get(at),
        certificatesFrom: async (from, votes) => rangeOf(certificates, from, votes),
      },
      chain: { tree, genesis },
      agreement: { agreed: checkpointOf(long[58]!), final: checkpointOf(long[0]!) },
    });
    expect(spans(document)).toEqual(['0-58']);
  });

  test.each([
    { ...CERTIFICATE_LIMITS, maxLinks: 2 },
    { ...CERTIFICATE_LIMITS, maxVotes: 7 },
    { ...CERTIFICATE_LIMITS, maxHeaders: 3 },
  ])('beyond a limit it is the upper piece, and the pieces make the whole: %o', async (limits) => {
    let piece = (await collect(8, undefined, limits))!;
    expect(piece.links.length).toBeLessThan(6);
    let whole = piece;
    while (piece.from.height !== '0') {
      piece = (await collect(Number(piece.from.height), 'agreed', limits))!;
      whole = {
        ...whole,
        from: piece.from,
        headers: [...piece.headers, ...whole.headers],
        links: [...piece.links, ...whole.links],
      };
    }
    expect(whole).toEqual(await collect(8));
  });
});

function other(height: number): BlockId {
  return height.toString(16).padStart(64, '0') as BlockId;
}

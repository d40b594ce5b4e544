/** Finds in the store what proves a block agreed or final, back to genesis. */
import {
  type CertificateDocument,
  type CertifiedState,
  certificateDocument,
} from '../../chain/certificate-document.ts';
import type { Certificate, Checkpoint, Header } from '../../chain/types.ts';
import type { ChainService } from '../chain-service.ts';
import type { Store } from '../store/store.ts';
import type { AgreementService } from './agreement-service.ts';

export interface CollectCertificateDeps {
  readonly store: Pick<Store, 'certificate' | 'certificatesFrom'>;
  readonly chain: Pick<ChainService, 'tree' | 'genesis'>;
  readonly agreement: Pick<AgreementService, 'agreed' | 'final'>;
}

/** What one document may hold: about 20 MB of JSON at most. A longer certificate comes in pieces. */
export interface CertificateLimits {
  readonly maxLinks: number;
  readonly maxVotes: number;
  readonly maxHeaders: number;
}

export const CERTIFICATE_LIMITS: CertificateLimits = { maxLinks: 5_000, maxVotes: 20_000, maxHeaders: 50_000 };
/** Certificates looked at above the block for the one that proves it, and about how many votes are read at once. */
const MAX_SEARCH = 1_024;
const SEARCH_VOTES = 64;

/**
 * The certificate of the main chain's block at a height: for the best state it has, or for `agreed` at least.
 * It begins at genesis; where the limits do not allow that, it is the upper piece, and `from` says where it begins.
 * @returns undefined while the block is not agreed, or where its votes are not stored any more
 */
export async function collectCertificate(
  height: bigint,
  wanted: CertifiedState | undefined,
  deps: CollectCertificateDeps,
  limits: CertificateLimits = CERTIFICATE_LIMITS,
): Promise<CertificateDocument | undefined> {
  const { chain, agreement } = deps;
  const { tree, genesis } = chain;
  const block = tree.mainAt(height)?.header;
  if (block === undefined) return undefined;
  const isFinal = height <= agreement.final.height;
  if (wanted === 'final' && !isFinal) return undefined;
  const root: Checkpoint = { height: 0n, id: genesis.entry.header.id };
  let links = isFinal && wanted !== 'agreed' ? await findFinal(height, deps) : undefined;
  const state = links === undefined ? 'agreed' : 'final';
  // A block can be final here without votes in the store that say so: they were pruned, or never came.
  if (links === undefined && wanted !== 'final') links = await findAgreed(height, deps);
  if (links === undefined) return undefined;
  let votes = links.reduce((sum, link) => sum + link.votes.length, 0);
  const top = links.at(-1)?.target ?? root;
  while (links[0] !== undefined && links[0].source.height > 0n) {
    const { source } = links[0];
    const below = await certificateOf(source, deps);
    if (below === undefined) break;
    votes += below.votes.length;
    const headers = top.height - below.source.height;
    if (links.length >= limits.maxLinks || votes > limits.maxVotes || headers > BigInt(limits.maxHeaders)) break;
    links.unshift(below);
  }
  const from = links[0]?.source ?? root;
  const headers: Header[] = [];
  for (let at = from.height + 1n; at <= top.height; at += 1n) headers.push(tree.ancestorAt(top.id, at)!.header);
  // The chain may have moved while we read: then this block is not what the votes are about.
  if (height > top.height || tree.ancestorAt(top.id, height)?.header.id !== block.id) return undefined;
  return certificateDocument({
    chainId: genesis.chainId,
    block: { height, id: block.id },
    state,
    from,
    headers,
    links,
  });
}

/** The link to the lowest final checkpoint at or above the height, and the one from it to its direct child. */
async function findFinal(height: bigint, deps: CollectCertificateDeps): Promise<Certificate[] | undefined> {
  const { final } = deps.agreement;
  const interval = BigInt(deps.chain.genesis.params.checkpointInterval);
  if (height === 0n) return []; // genesis needs none
  for await (const link of linksFrom(height, final.height, deps)) {
    const child = await certificateAt(link.target.height + interval, deps);
    if (child?.source.id === link.target.id) return [link, child];
  }
  return undefined;
}

/** The link to the lowest agreed checkpoint at or above the height. */
async function findAgreed(height: bigint, deps: CollectCertificateDeps): Promise<Certificate[] | undefined> {
  const { agreed } = deps.agreement;
  if (height === 0n) return [];
  for await (const link of linksFrom(height, agreed.height, deps)) return [link];
  return undefined;
}

/** Links to checkpoints of the main chain from one height to another, lowest first. */
async function* linksFrom(from: bigint, to: bigint, deps: CollectCertificateDeps): AsyncGenerator<Certificate> {
  let next = from;
  for (let searched = 0; searched < MAX_SEARCH; ) {
    const page = await deps.store.certificatesFrom(next, SEARCH_VOTES);
    if (page.length === 0) return;
    searched += page.length;
    for (const certificate of page) {
      const { height, id } = certificate.target;
      if (height > to) return;
      if (deps.chain.tree.mainAt(height)?.header.id === id) yield certificate;
      next = height + 1n;
    }
  }
}

async function certificateAt(height: bigint, deps: CollectCertificateDeps): Promise<Certificate | undefined> {
  const id = deps.chain.tree.mainAt(height)?.header.id;
  return id && certificateOf({ height, id }, deps);
}

async function certificateOf(target: Checkpoint, deps: CollectCertificateDeps): Promise<Certificate | undefined> {
  const stored = await deps.store.certificate(target.height);
  return stored?.target.id === target.id ? stored : undefined;
}

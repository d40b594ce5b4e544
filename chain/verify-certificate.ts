/** Checks a certificate with nothing but the genesis. Pure: no node, no clock, no network. */

import { type Address, formatAddress } from '../crypto/address.ts';
import type { SignatureBackend } from '../crypto/signature.ts';
import { BlockTree } from './block-tree.ts';
import {
  CertificateFormatError,
  type CertificateParts,
  type CertifiedState,
  parseCertificateDocument,
} from './certificate-document.ts';
import { type Dynasty, dynastyAfter, Electorates, quorumOf } from './electorate.ts';
import type { Genesis } from './genesis.ts';
import { areSupermajorities, type Tally, talliesOf } from './link-book.ts';
import { recentTimestamps } from './median-time.ts';
import type { BlockReason } from './reasons.ts';
import type { BlockId, Certificate, Checkpoint } from './types.ts';
import { checkHeader } from './validate/header.ts';
import { voteSignatureItem } from './validate/vote.ts';

/** What can be wrong with a certificate: a closed list. */
export const CERTIFICATE_FAULTS = [
  'certificate/malformed',
  'certificate/wrong-chain',
  'certificate/header-not-linked',
  'certificate/bad-pow',
  'certificate/wrong-bits',
  'certificate/bad-timestamp',
  'certificate/unagreed-source',
  'certificate/wrong-target',
  'certificate/bad-span',
  'certificate/bad-order',
  'certificate/vote-wrong-chain',
  'certificate/vote-other-link',
  'certificate/not-elector',
  'certificate/duplicate-voter',
  'certificate/bad-signature',
  'certificate/too-few-votes',
  'certificate/wrong-block',
  'certificate/not-final',
] as const;
export type CertificateFault = (typeof CERTIFICATE_FAULTS)[number];

/** What a certificate that holds proves. */
export interface CertificateProof {
  readonly block: Checkpoint;
  /** What the document claims. */
  readonly state: CertifiedState;
  /** What its links prove: that, or more. */
  readonly proved: CertifiedState;
  /** Headers checked from genesis up, and the work in them, genesis included. */
  readonly headers: number;
  readonly totalWork: bigint;
  readonly links: number;
  /** The link that made the block, or a descendant, agreed; none for genesis. */
  readonly decidedBy: DecidingLink | undefined;
}

export interface DecidingLink {
  readonly source: Checkpoint;
  readonly target: Checkpoint;
  readonly voters: readonly Address[];
  /** What they weigh in each electorate that the link needs, forward first; in the genesis' each voter is 1. */
  readonly tallies: readonly {
    readonly asOf: Checkpoint;
    readonly weight: number;
    readonly total: number;
    readonly quorum: number;
  }[];
}

export type CertificateVerdict =
  | { readonly ok: true; readonly proof: CertificateProof }
  | { readonly ok: false; readonly fault: CertificateFault; readonly detail: string };

/** A fault, on its way out of the nested checks; never leaves this file. */
class Refusal extends Error {
  readonly fault: CertificateFault;

  constructor(fault: CertificateFault, detail: string) {
    super(detail);
    this.fault = fault;
  }
}

/** Reasons of the header rules that a certificate can run into, as its own. */
const HEADER_FAULTS: Readonly<Partial<Record<BlockReason, CertificateFault>>> = {
  'block/unknown-parent': 'certificate/header-not-linked',
  'block/wrong-height': 'certificate/header-not-linked',
  'block/wrong-target': 'certificate/wrong-bits',
  'block/bad-pow': 'certificate/bad-pow',
  'block/timestamp-too-old': 'certificate/bad-timestamp',
};

/**
 * Checks the format, the chain id, every header from genesis on (BLK-3..BLK-6: links, work, difficulty, median time)
 * and every link (VOTE-2..VOTE-5, VOTE-10, more than two thirds, from an agreed source), the cheapest first within
 * each. BLK-7 needs a clock and does not bear on what was voted. O(headers + votes), a signature check for each vote.
 *
 * @param json the document, as JSON.parse gives it
 */
export function verifyCertificate(
  json: unknown,
  genesis: Genesis,
  backend: Pick<SignatureBackend, 'verify'>,
): CertificateVerdict {
  try {
    return { ok: true, proof: proofOf(parseCertificateDocument(json), genesis, backend) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, fault: error.fault, detail: error.message };
    if (error instanceof CertificateFormatError) {
      return { ok: false, fault: 'certificate/malformed', detail: error.message };
    }
    throw error;
  }
}

function proofOf(
  parts: CertificateParts,
  genesis: Genesis,
  backend: Pick<SignatureBackend, 'verify'>,
): CertificateProof {
  const root: Checkpoint = { height: 0n, id: genesis.entry.header.id };
  if (parts.chainId !== genesis.chainId) {
    throw new Refusal(
      'certificate/wrong-chain',
      `it is of chain ${parts.chainId}, the genesis makes ${genesis.chainId}`,
    );
  }
  if (parts.from.height !== 0n || parts.from.id !== root.id) {
    throw new Refusal(
      'certificate/unagreed-source',
      `it begins at ${place(parts.from)}, not at genesis: nothing shows that this is agreed`,
    );
  }
  const tree = treeOf(parts, genesis);
  const electorates = new Electorates(genesis.electorateRule, genesis.electorate, root);
  const interval = BigInt(genesis.params.checkpointInterval);
  const agreed = new Map<BlockId, Dynasty>([[root.id, electorates.firstDynasty]]);
  const finals: Checkpoint[] = [root];
  const tallies: (readonly Tally[])[] = [];
  for (const [i, link] of parts.links.entries()) {
    const below = parts.links[i - 1];
    tallies.push(checkLink(link, i, { genesis, tree, below, agreed, electorates, backend }));
    const dynasty = agreed.get(link.source.id)!;
    if (!agreed.has(link.target.id)) agreed.set(link.target.id, dynastyAfter(dynasty, link, interval));
    if (link.target.height === link.source.height + interval) finals.push(link.source);
  }
  const { block } = parts;
  if (tree.mainAt(block.height)?.header.id !== block.id) {
    throw new Refusal('certificate/wrong-block', `block ${place(block)} is not among its headers`);
  }
  // The first link that reaches the block decides; for genesis none has to.
  const deciding = parts.links.findIndex(({ target }) => target.height >= block.height);
  const decidedBy = block.height === 0n ? undefined : parts.links[deciding];
  if (decidedBy === undefined && block.height > 0n) {
    const highest = parts.links.at(-1)?.target ?? root;
    throw new Refusal('certificate/wrong-block', `its links end at ${place(highest)}, below block ${place(block)}`);
  }
  const proved = finals.some(({ height }) => height >= block.height) ? 'final' : 'agreed';
  if (parts.state === 'final' && proved !== 'final') {
    const detail = `block ${place(block)} is agreed, but no link goes from it or above to a direct child checkpoint`;
    throw new Refusal('certificate/not-final', detail);
  }
  return {
    block,
    state: parts.state,
    proved,
    headers: parts.headers.length,
    totalWork: tree.tip.totalWork,
    links: parts.links.length,
    decidedBy: decidedBy && {
      source: decidedBy.source,
      target: decidedBy.target,
      voters: decidedBy.votes.map(({ voter }) => voter),
      tallies: tallies[deciding]!.map(({ electorate: { asOf, total }, weight }) => ({
        asOf,
        weight,
        total,
        quorum: quorumOf(total),
      })),
    },
  };
}

/** The headers on top of genesis, each checked; its main chain is all of them. */
function treeOf(parts: CertificateParts, genesis: Genesis): BlockTree {
  const tree = new BlockTree([genesis.entry]);
  let parent = genesis.entry;
  for (const [i, header] of parts.headers.entries()) {
    const verdict = checkHeader(header, {
      parent,
      recentTimesMs: recentTimestamps(tree, parent),
      nowMs: header.timestampMs, // BLK-7 is between a block and a node's clock
      params: genesis.params,
      genesisEffectiveTimeMs: genesis.entry.effectiveTimeMs,
    });
    if (verdict.kind !== 'accept') {
      const fault = HEADER_FAULTS[verdict.reason];
      if (fault === undefined) throw new Error(`a header check gave ${verdict.reason}`);
      const after = `after ${place({ height: parent.header.height, id: parent.header.id })}`;
      throw new Refusal(fault, `headers[${i}], ${place(header)}, ${after}: ${verdict.reason}`);
    }
    parent = { ...verdict.value, arrival: 0 };
    tree.add(parent);
  }
  tree.setTip(parent.header.id);
  return tree;
}

interface LinkContext {
  readonly genesis: Genesis;
  readonly tree: BlockTree;
  /** The link before it. */
  readonly below: Certificate | undefined;
  readonly agreed: ReadonlyMap<BlockId, Dynasty>;
  readonly electorates: Electorates;
  readonly backend: Pick<SignatureBackend, 'verify'>;
}

/** Gives what the votes weigh in each electorate that the link needs. */
function checkLink(link: Certificate, index: number, context: LinkContext): readonly Tally[] {
  const { genesis, tree, below, agreed, electorates, backend } = context;
  const { source, target, votes } = link;
  const name = `links[${index}], ${source.height} → ${target.height}`;
  const interval = BigInt(genesis.params.checkpointInterval);
  if (target.height <= source.height || source.height % interval !== 0n || target.height % interval !== 0n) {
    throw new Refusal('certificate/bad-span', `${name}: does not rise, or is off the grid of checkpoints`);
  }
  // So a link is there once: a document can not make us check the same votes again and again.
  if (below !== undefined && target.height <= below.target.height) {
    const detail = `${name}: its target is not above ${below.target.height}, that of the link before it`;
    throw new Refusal('certificate/bad-order', detail);
  }
  const dynasty = agreed.get(source.id);
  if (dynasty === undefined || tree.mainAt(source.height)?.header.id !== source.id) {
    throw new Refusal('certificate/unagreed-source', `${name}: no link before it agrees its source ${place(source)}`);
  }
  if (tree.mainAt(target.height)?.header.id !== target.id) {
    throw new Refusal('certificate/wrong-target', `${name}: its target ${place(target)} is not among the headers`);
  }
  const inForce = electorates.inForce(dynasty, tree);
  const voters = new Set<Address>();
  for (const vote of votes) {
    const who = `${name}: the vote of ${formatAddress(vote.voter)}`;
    if (vote.chainId !== genesis.chainId)
      throw new Refusal('certificate/vote-wrong-chain', `${who} is of another chain`);
    const isSame = (a: Checkpoint, b: Checkpoint): boolean => a.height === b.height && a.id === b.id;
    if (!isSame(vote.source, source) || !isSame(vote.target, target)) {
      throw new Refusal('certificate/vote-other-link', `${who} is for ${place(vote.source)} → ${place(vote.target)}`);
    }
    if (!inForce.some(({ weights }) => weights.has(vote.voter))) {
      throw new Refusal('certificate/not-elector', `${who}: not in the electorate`);
    }
    if (voters.has(vote.voter)) throw new Refusal('certificate/duplicate-voter', `${who} is there twice`);
    voters.add(vote.voter);
  }
  const tallies = talliesOf(voters, inForce);
  const short = tallies.find((tally) => !areSupermajorities([tally]));
  if (short !== undefined) {
    const of = `${short.electorate.total}${inForce.length > 1 ? ` as of ${place(short.electorate.asOf)}` : ''}`;
    const unit = genesis.electorateRule.kind === 'genesis' ? 'votes' : 'weight';
    throw new Refusal(
      'certificate/too-few-votes',
      `${name}: ${short.weight} ${unit} of ${of}, not more than two thirds`,
    );
  }
  for (const vote of votes) {
    if (backend.verify(voteSignatureItem(vote))) continue;
    throw new Refusal(
      'certificate/bad-signature',
      `${name}: the vote of ${formatAddress(vote.voter)} is not signed by it`,
    );
  }
  return tallies;
}

function place({ height, id }: Pick<Checkpoint, 'height' | 'id'>): string {
  return `${height} ${id}`;
}

/**
 * A certificate as a file that anybody can check with nothing but the genesis: the block it is about, the headers
 * from genesis up, and the links of votes that lead from genesis to the block. JSON, so that it can be read; what is
 * signed or hashed stands in it as canonical bytes in hex. `docs/PROTOCOL.md` has the format.
 */
import { bytesToHex, hexToBytes } from '../crypto/bytes.ts';
import { decodeHeader, decodeVote, parseBlockId } from './codec.ts';
import { JsonReader } from './json-reader.ts';
import { HEADER_BYTES, VOTE_BYTES } from './params.ts';
import type { BlockId, Certificate, Checkpoint, Header, Vote } from './types.ts';

export const CERTIFICATE_FORMAT = 'grapevine-certificate/1';

/** How sure a block is. */
export type CertifiedState = 'agreed' | 'final';

interface CheckpointJson {
  readonly height: string;
  readonly id: string;
}

export interface CertificateDocument {
  readonly format: typeof CERTIFICATE_FORMAT;
  readonly chainId: string;
  /** What the certificate is about: this block or a descendant of it is the target of the last links. */
  readonly block: CheckpointJson;
  readonly state: CertifiedState;
  /** Where links and headers begin: genesis, unless this is only the upper piece of a long certificate. */
  readonly from: CheckpointJson;
  /** Canonical headers in hex: the child of `from` first, each the parent of the next. */
  readonly headers: readonly string[];
  /** Lowest target first; the source of each is `from` or the target of one before. Votes are canonical bytes in hex. */
  readonly links: readonly {
    readonly source: CheckpointJson;
    readonly target: CheckpointJson;
    readonly votes: readonly string[];
  }[];
}

/** What the document says, decoded; nothing of it is checked. */
export interface CertificateParts {
  readonly chainId: string;
  readonly block: Checkpoint;
  readonly state: CertifiedState;
  readonly from: Checkpoint;
  readonly headers: readonly Header[];
  readonly links: readonly Certificate[];
}

/** The inverse of `parseCertificateDocument`. Checks nothing: headers and links stand in the order given. */
export function certificateDocument(parts: CertificateParts): CertificateDocument {
  return {
    format: CERTIFICATE_FORMAT,
    chainId: parts.chainId,
    block: checkpointJson(parts.block),
    state: parts.state,
    from: checkpointJson(parts.from),
    headers: parts.headers.map(({ bytes }) => bytesToHex(bytes)),
    links: parts.links.map(({ source, target, votes }) => ({
      source: checkpointJson(source),
      target: checkpointJson(target),
      votes: votes.map(({ bytes }) => bytesToHex(bytes)),
    })),
  };
}

/** The document does not say what a certificate says. */
export class CertificateFormatError extends Error {
  override readonly name = 'CertificateFormatError';
}

const read = new JsonReader(fault);

/**
 * Reads a document, as JSON.parse gives it.
 * @throws CertificateFormatError naming the place: something missing, unknown, or not in its form
 */
export function parseCertificateDocument(json: unknown): CertificateParts {
  const keys = ['chainId', 'block', 'state', 'from', 'headers', 'links'] as const;
  const fields = read.documentAt(json, CERTIFICATE_FORMAT, keys);
  const { state } = fields;
  if (state !== 'agreed' && state !== 'final') throw fault('state', "must be 'agreed' or 'final'");
  return {
    chainId: idAt(fields.chainId, 'chainId'),
    block: checkpointAt(fields.block, 'block'),
    state,
    from: checkpointAt(fields.from, 'from'),
    headers: read.arrayAt(fields.headers, 'headers').map((item, i) => headerAt(item, `headers[${i}]`)),
    links: read.arrayAt(fields.links, 'links').map((item, i) => {
      const link = read.objectAt(item, `links[${i}]`, ['source', 'target', 'votes']);
      return {
        source: checkpointAt(link.source, `links[${i}].source`),
        target: checkpointAt(link.target, `links[${i}].target`),
        votes: read.arrayAt(link.votes, `links[${i}].votes`).map((vote, v) => voteAt(vote, `links[${i}].votes[${v}]`)),
      };
    }),
  };
}

function fault(place: string, problem: string): CertificateFormatError {
  return new CertificateFormatError(`${place === '' ? 'document' : place} ${problem}`);
}

function checkpointJson({ height, id }: Checkpoint): CheckpointJson {
  return { height: height.toString(), id };
}

function idAt(json: unknown, place: string): BlockId {
  const id = typeof json === 'string' ? parseBlockId(json) : undefined;
  if (id === undefined) throw fault(place, 'must be 64 lower-case hex digits');
  return id;
}

function checkpointAt(json: unknown, place: string): Checkpoint {
  const fields = read.objectAt(json, place, ['height', 'id']);
  return { height: read.u64At(fields.height, `${place}.height`), id: idAt(fields.id, `${place}.id`) };
}

/** The length comes first: a regular expression over a text of millions of characters can overflow the stack. */
function bytesAt(json: unknown, place: string, lengthBytes: number): Uint8Array {
  if (typeof json !== 'string') throw fault(place, 'must be lower-case hex');
  const digits = 2 * lengthBytes;
  if (json.length !== digits) throw fault(place, `must be ${digits} hex digits, not ${json.length}`);
  if (!/^[0-9a-f]*$/.test(json)) throw fault(place, 'must be lower-case hex');
  return hexToBytes(json);
}

function headerAt(json: unknown, place: string): Header {
  const decoded = decodeHeader(bytesAt(json, place, HEADER_BYTES));
  if (!decoded.ok) throw fault(place, `is no header: ${decoded.detail}`);
  return decoded.value;
}

function voteAt(json: unknown, place: string): Vote {
  const decoded = decodeVote(bytesAt(json, place, VOTE_BYTES));
  if (!decoded.ok) throw fault(place, `is no vote: ${decoded.detail}`);
  return decoded.value;
}

/** What happened in a run, as far as expectations and the report ask. */
import { decodeVote } from '../chain/codec.ts';
import type { BlockId, Header, Vote } from '../chain/types.ts';
import { contradiction } from '../chain/validate/vote.ts';
import type { GrapevineNode } from '../node/compose.ts';
import type { NetworkListener } from './scenario-network.ts';
import type { PlannedNode } from './scenario-nodes.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { LogLine, SimNode } from './world.ts';

export interface HeightSample {
  readonly atMs: number;
  /** By node; only those that ran. */
  readonly tip: ReadonlyMap<string, Header>;
  readonly final: ReadonlyMap<string, number>;
}

interface Agreed {
  readonly node: string;
  readonly atMs: number;
  readonly height: number;
}

/** Log lines kept for expectations about them. */
const KEPT_LINES = 2_000;

/**
 * Notes, and judges nothing: `expectations.ts` does that. What nodes conclude, vote and log it notes of honest ones
 * only. It grows with the run, but for the log lines.
 */
export class RunLog implements NetworkListener {
  readonly #clock: VirtualClock;
  readonly #planned: ReadonlyMap<string, PlannedNode>;
  readonly samples: HeightSample[] = [];
  readonly agreed: Agreed[] = [];
  readonly agreementMs: number[] = [];
  readonly conflicts: string[] = [];
  readonly forgotten: string[] = [];
  readonly internalErrors: string[] = [];
  readonly lines: { readonly node: string; readonly message: string }[] = [];
  readonly penalties: string[] = [];
  readonly banned = new Set<string>();
  readonly spreadInvalid: string[] = [];
  readonly accusedHonest = new Set<string>();
  readonly contradictions: string[] = [];
  /** Offenders, as each node has heard of them. */
  readonly offenders = new Map<string, Set<string>>();
  reorgs = 0;
  deepestReorg = 0;
  readonly #finalAt = new Map<bigint, BlockId>();
  readonly #lastFinal = new Map<string, bigint>();
  readonly #entries = new Map<string, Set<BlockId>>();
  readonly #firstSeen = new Map<BlockId, number>();
  readonly #ownVotes = new Map<string, Vote[]>();
  /** Voters whose votes did not only go forward: the same vote again, at least. */
  readonly #rewound = new Set<string>();
  readonly #honestVoters = new Map<string, string>();

  constructor(clock: VirtualClock, planned: readonly PlannedNode[]) {
    this.#clock = clock;
    this.#planned = new Map(planned.map((each) => [each.name, each]));
  }

  /** Distinct blocks that anybody had. */
  get blocks(): number {
    return this.#firstSeen.size;
  }

  isHonest(name: string): boolean {
    return this.#planned.get(name)?.behaviour === 'honest';
  }

  /** Before the life of a node begins: it has just read its store. */
  onLife(sim: SimNode, node: GrapevineNode): void {
    const { name } = sim;
    const isHonest = this.isHonest(name);
    if (isHonest && sim.spec.voter !== false) this.#honestVoters.set(sim.key.address, name);
    if (isHonest) this.#checkMemory(name, node);
    const entries = this.#entries.get(name) ?? new Set();
    this.#entries.set(name, entries);
    node.events.on('entry', ({ entry }) => {
      entries.add(entry.header.id);
      if (!this.#firstSeen.has(entry.header.id)) this.#firstSeen.set(entry.header.id, this.#clock.monotonicMs());
    });
    if (!isHonest) return;
    node.events.on('reorg', ({ abandoned }) => {
      this.reorgs += 1;
      this.deepestReorg = Math.max(this.deepestReorg, abandoned.length);
    });
    node.events.on('agreed', ({ certificate }) => {
      const atMs = this.#clock.monotonicMs();
      this.agreed.push({ node: name, atMs, height: Number(certificate.target.height) });
      const seenMs = this.#firstSeen.get(certificate.target.id);
      if (seenMs !== undefined) this.agreementMs.push(atMs - seenMs);
    });
    node.events.on('final', ({ checkpoint }) => {
      const { tree } = node.chain;
      const last = this.#lastFinal.get(name) ?? 1n;
      // From what it said last, which must still be there: the other blocks below follow from it.
      for (let height = last < checkpoint.height ? last : checkpoint.height; height <= checkpoint.height; height++) {
        const id = tree.ancestorAt(checkpoint.id, height)!.header.id;
        const other = this.#finalAt.get(height);
        if (other === undefined) this.#finalAt.set(height, id);
        else if (other !== id && this.conflicts.length < 10) this.conflicts.push(`${name} at height ${height}`);
      }
      this.#lastFinal.set(name, checkpoint.height);
    });
    node.events.on('evidence', ({ evidence }) => {
      const known = this.offenders.get(name) ?? new Set();
      this.offenders.set(name, known.add(evidence.voter));
      const accused = this.#honestVoters.get(evidence.voter);
      if (accused !== undefined) this.accusedHonest.add(accused);
    });
  }

  /** An honest node published a vote. */
  onVote(node: string, data: Uint8Array): void {
    const decoded = decodeVote(data);
    if (!decoded.ok) return;
    const vote = decoded.value;
    const votes = this.#ownVotes.get(node) ?? [];
    this.#ownVotes.set(node, votes);
    const before = votes.at(-1);
    // Where neither has gone back since the vote before, none contradicts; else each is compared with.
    const isAhead =
      before === undefined ||
      (vote.target.height > before.target.height &&
        vote.source.height >= before.source.height &&
        !this.#rewound.has(node));
    if (!isAhead) {
      this.#rewound.add(node);
      const kind = votes.map((earlier) => contradiction(earlier, vote)).find((each) => each !== undefined);
      if (kind !== undefined) this.contradictions.push(`${node}: ${kind} vote at height ${vote.target.height}`);
    }
    if (before?.id !== vote.id) votes.push(vote);
  }

  onLog(sim: SimNode, { level, message, fields }: LogLine): void {
    if (level === 'debug' || !this.isHonest(sim.name)) return;
    if (message.startsWith('internal error')) {
      const { err } = fields;
      this.internalErrors.push(`${sim.name}: ${err instanceof Error ? err.message : message}`);
    }
    if (this.lines.length < KEPT_LINES && level !== 'info') this.lines.push({ node: sim.name, message });
    else if (level === 'error') this.lines[this.lines.length - 1] = { node: sim.name, message };
  }

  onPenalized(node: string, peer: string, reason: string): void {
    if (this.isHonest(node) && this.isHonest(peer)) this.penalties.push(`${peer} by ${node}: ${reason}`);
  }

  onBanned(node: string, peer: string): void {
    if (this.isHonest(node)) this.banned.add(peer);
  }

  onRejected(node: string, from: string, kind: string): void {
    if (this.isHonest(node) && this.isHonest(from)) this.spreadInvalid.push(`${kind} at ${node} from ${from}`);
  }

  /** Of most samples nothing is new: they share what the one before them holds. */
  sample(running: readonly SimNode[]): void {
    const last = this.samples.at(-1);
    this.samples.push({
      atMs: this.#clock.monotonicMs(),
      tip: byName(running, ({ node }) => node.chain.tip.header, last?.tip),
      final: byName(running, ({ finalHeight }) => finalHeight, last?.final),
    });
  }

  /** What a node has told of must be there after any restart. */
  #checkMemory(name: string, node: GrapevineNode): void {
    const missing = [...(this.#entries.get(name) ?? [])].filter((id) => node.chain.tree.get(id) === undefined);
    if (missing.length > 0) this.forgotten.push(`${name}: ${missing.length} blocks`);
    const told = this.#lastFinal.get(name) ?? 0n;
    const { final } = node.agreement;
    if (final.height < told) this.forgotten.push(`${name}: final ${told}, now ${final.height}`);
    else if (told > 0n && node.chain.tree.ancestorAt(final.id, told)?.header.id !== this.#finalAt.get(told)) {
      this.forgotten.push(`${name}: final ${told}, now another block`);
    }
  }
}

/** @param last is given back where it says the same */
function byName<T>(
  running: readonly SimNode[],
  value: (sim: SimNode) => T,
  last: ReadonlyMap<string, T> | undefined,
): ReadonlyMap<string, T> {
  const isSame = last?.size === running.length && running.every((sim) => last.get(sim.name) === value(sim));
  return isSame ? last : new Map(running.map((sim) => [sim.name, value(sim)]));
}

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
  /** Timestamps of blocks that some honest node had on its main chain, by height; the latest seen counts. */
  reorgs = 0;
  deepestReorg = 0;
  readonly #finalAt = new Map<bigint, BlockId>();
  readonly #lastFinal = new Map<string, bigint>();
  readonly #entries = new Map<string, Set<BlockId>>();
  readonly #firstSeen = new Map<BlockId, number>();
  readonly #ownVotes = new Map<string, Vote[]>();
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
      for (let height = (this.#lastFinal.get(name) ?? 0n) + 1n; height <= checkpoint.height; height++) {
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
    const votes = this.#ownVotes.get(node) ?? [];
    this.#ownVotes.set(node, votes);
    // An honest voter's targets rise and its sources do not fall, so that the vote before is enough to compare with.
    const before = votes.at(-1);
    const kind = before === undefined ? undefined : contradiction(before, decoded.value);
    if (kind !== undefined) this.contradictions.push(`${node}: ${kind} vote at height ${decoded.value.target.height}`);
    if (votes.at(-1)?.id !== decoded.value.id) votes.push(decoded.value);
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

  sample(running: readonly SimNode[]): void {
    this.samples.push({
      atMs: this.#clock.monotonicMs(),
      tip: new Map(running.map(({ name, node }) => [name, node.chain.tip.header])),
      final: new Map(running.map((each) => [each.name, each.finalHeight])),
    });
  }

  /** What a node has told of must be there after any restart. */
  #checkMemory(name: string, node: GrapevineNode): void {
    const missing = [...(this.#entries.get(name) ?? [])].filter((id) => node.chain.tree.get(id) === undefined);
    if (missing.length > 0) this.forgotten.push(`${name}: ${missing.length} blocks`);
    const told = this.#lastFinal.get(name) ?? 0n;
    if (node.agreement.final.height < told) {
      this.forgotten.push(`${name}: final ${told}, now ${node.agreement.final.height}`);
    }
  }
}

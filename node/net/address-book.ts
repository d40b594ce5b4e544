import type { Clock, Logger, PeerKey, Rng } from '../ports.ts';
import { type PeerAddress, parsePeerAddress } from './peer-address.ts';

export interface AddressBookOptions {
  /** Addresses kept; those never connected make room first, then the one connected longest ago. */
  readonly maxAddresses: number;
  /** Addresses kept of one peer: what a peer may make us dial. */
  readonly maxAddressesPerPeer: number;
  /** Peers outside the bootstrap list are dialled only below this number of connections. */
  readonly targetConnections: number;
  readonly maxParallelDials: number;
  /** Back-off after the n-th failure: minRedialMs · 2^n, at most maxRedialMs, ± 25 %. */
  readonly minRedialMs: number;
  readonly maxRedialMs: number;
  /** A connection that lasted less counts as a failure: else a peer that hangs up at once is dialled in a loop. */
  readonly stableMs: number;
  /** A peer outside the bootstrap list is forgotten after this many failures in a row. */
  readonly maxFailures: number;
}

/** `loadPeers` and `savePeers` of the store: address → wall-clock ms of the last connection, 0 for never. */
export interface AddressStore {
  savePeers(peers: ReadonlyMap<string, number>): Promise<void>;
  loadPeers(): Promise<ReadonlyMap<string, number>>;
}

export interface AddressBookDeps {
  readonly self: PeerKey;
  readonly bootstrap: readonly string[];
  readonly store: AddressStore;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly logger: Logger;
  readonly options: AddressBookOptions;
  /** Dials the addresses of one peer; resolves with who answered. */
  readonly dial: (addresses: readonly string[], signal: AbortSignal) => Promise<PeerKey>;
}

/** A peer to dial; `peer` is unknown for a bootstrap address without `/p2p/` until it has answered once. */
interface Entry {
  readonly key: string;
  peer: PeerKey | undefined;
  readonly addresses: Map<string, number>;
  /** Addresses that were configured or added by hand: never dropped. */
  readonly pinned: Set<string>;
  failures: number;
  dueMs: number;
  dialing: Promise<void> | undefined;
}

const SAVE_DELAY_MS = 1_000;

/**
 * Whom to dial, and when. Bootstrap and explicitly added peers are redialled for ever, the others while there are
 * fewer than `targetConnections`. One timer, armed for the next dial that is due.
 *
 * Bound: `maxAddresses`, of which each peer has at most `maxAddressesPerPeer`.
 */
export class AddressBook {
  readonly #deps: AddressBookDeps;
  readonly #entries = new Map<string, Entry>();
  /** Connected peer → monotonic ms since when. */
  readonly #connected = new Map<PeerKey, number>();
  readonly #stopping = new AbortController();
  #running = false;
  #dials = 0;
  #cancelTimer: (() => void) | undefined;
  #cancelSave: (() => void) | undefined;

  constructor(deps: AddressBookDeps) {
    this.#deps = deps;
  }

  /** Loads the saved addresses and begins dialling. A store that can't be read costs the saved addresses only. */
  async start(): Promise<void> {
    for (const address of this.#deps.bootstrap) this.#add(parsePeerAddress(address), 0, true);
    try {
      for (const [address, lastMs] of await this.#deps.store.loadPeers()) {
        const parsed = tryParse(address);
        if (parsed !== undefined) this.#add(parsed, lastMs, false);
      }
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'saved peers not loaded');
    }
    this.#running = true;
    this.#pump();
  }

  async stop(): Promise<void> {
    const wasRunning = this.#running;
    this.#running = false;
    this.#cancelTimer?.();
    this.#cancelSave?.();
    this.#stopping.abort(new Error('address book stopped'));
    await Promise.all([...this.#entries.values()].map((entry) => entry.dialing));
    if (wasRunning) await this.#save();
  }

  /**
   * Adds an address that stays, and dials it now whatever the number of connections. Resolves when the first attempt
   * has ended, either way: later ones follow with back-off.
   *
   * @throws Error when the address is malformed or one's own, RangeError when the book is full of addresses that stay
   */
  async add(address: string): Promise<void> {
    const parsed = parsePeerAddress(address);
    if (parsed.peer === this.#deps.self) throw new Error(`address ${address} is this node's own`);
    const entry = this.#add(parsed, 0, true);
    if (entry === undefined) throw new RangeError('address book is full');
    entry.dueMs = this.#deps.clock.monotonicMs();
    this.#pump();
    await entry.dialing;
  }

  /** @param address where the peer was dialled; `undefined` for an inbound connection, whose port is nobody's */
  onConnected(peer: PeerKey, address: string | undefined): void {
    this.#connected.set(peer, this.#deps.clock.monotonicMs());
    const parsed = address === undefined ? undefined : tryParse(address);
    if (parsed !== undefined) this.#add(parsed, this.#deps.clock.nowMs(), false);
    this.#saveSoon();
  }

  /**
   * What the peer says it listens on; recorded under its own id, so it can't make us dial others by name. No more than a
   * claim until a dial shows it: it takes no room from addresses that were connected.
   */
  onIdentified(peer: PeerKey, addresses: readonly string[]): void {
    for (const address of addresses) {
      const parsed = tryParse(address);
      if (parsed === undefined || (parsed.peer !== undefined && parsed.peer !== peer)) continue;
      const full = parsed.peer === undefined ? tryParse(`${address}/p2p/${peer}`) : parsed;
      if (full !== undefined) this.#add(full, 0, false);
    }
    this.#saveSoon();
  }

  /** @param deliberate we hung up: not before the longest back-off is the peer dialled again */
  onDisconnected(peer: PeerKey, deliberate: boolean): void {
    const sinceMs = this.#connected.get(peer);
    this.#connected.delete(peer);
    const nowMs = this.#deps.clock.monotonicMs();
    const { stableMs, maxRedialMs } = this.#deps.options;
    for (const entry of this.#entries.values()) {
      if (entry.peer !== peer) continue;
      const short = sinceMs === undefined || nowMs - sinceMs < stableMs;
      entry.failures = short ? entry.failures + 1 : 0;
      // The first redial comes after the shortest delay, whatever the connection was like.
      entry.dueMs = nowMs + (deliberate ? maxRedialMs : this.#backOffMs(Math.max(0, entry.failures - 1)));
    }
    this.#pump();
  }

  /** Every address with the wall-clock ms of its last connection, 0 for never. */
  addresses(): ReadonlyMap<string, number> {
    return new Map([...this.#entries.values()].flatMap((entry) => [...entry.addresses]));
  }

  #backOffMs(failures: number): number {
    const { minRedialMs, maxRedialMs } = this.#deps.options;
    const delayMs = Math.min(maxRedialMs, minRedialMs * 2 ** Math.min(failures, 30));
    return delayMs * (0.75 + 0.5 * this.#deps.rng.unit());
  }

  #add(parsed: PeerAddress, lastMs: number, pinned: boolean): Entry | undefined {
    if (parsed.peer === this.#deps.self) return undefined;
    const key = parsed.peer ?? parsed.text;
    const isClaim = lastMs === 0 && !pinned;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (!this.#makeRoom(isClaim)) return undefined;
      entry = {
        key,
        peer: parsed.peer,
        addresses: new Map(),
        pinned: new Set(),
        failures: 0,
        dueMs: this.#deps.clock.monotonicMs(),
        dialing: undefined,
      };
      this.#entries.set(key, entry);
    } else if (!entry.addresses.has(parsed.text) && !this.#makeRoom(isClaim, entry)) {
      return undefined;
    }
    if (pinned) entry.pinned.add(parsed.text);
    const knownMs = entry.addresses.get(parsed.text) ?? 0;
    entry.addresses.set(parsed.text, Math.max(knownMs, lastMs));
    while (entry.addresses.size > Math.max(this.#deps.options.maxAddressesPerPeer, entry.pinned.size)) {
      entry.addresses.delete(oldestOf(entry));
    }
    return entry;
  }

  /**
   * Below the bound, or a peer was dropped: the one that is neither pinned nor connected and was reached longest ago,
   * those never reached before all others. For a claim none other than such a one is: else whoever comes under ever new
   * names would fill the book with addresses where nobody is.
   */
  #makeRoom(isClaim: boolean, keep?: Entry): boolean {
    let count = 0;
    let victim: Entry | undefined;
    for (const entry of this.#entries.values()) {
      count += entry.addresses.size;
      if (entry === keep || entry.pinned.size > 0 || entry.dialing !== undefined || this.#isConnected(entry)) continue;
      if (victim === undefined || lastReachedMs(entry) < lastReachedMs(victim)) victim = entry;
    }
    if (count < this.#deps.options.maxAddresses) return true;
    if (victim === undefined || (isClaim && lastReachedMs(victim) > 0)) return false;
    this.#entries.delete(victim.key);
    return true;
  }

  #isConnected(entry: Entry): boolean {
    return entry.peer !== undefined && this.#connected.has(entry.peer);
  }

  /** Dials what is due and arms the timer for what comes next. Bootstrap peers first, then the most recently reached. */
  #pump(): void {
    if (!this.#running) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { targetConnections, maxParallelDials } = this.#deps.options;
    const nowMs = this.#deps.clock.monotonicMs();
    const entries = [...this.#entries.values()];
    // A peer can have two entries: by its id, and by a bootstrap address that doesn't name it.
    const dialing = new Set(entries.flatMap((entry) => (entry.dialing === undefined ? [] : [entry.peer ?? entry.key])));
    const idle = entries
      .filter((entry) => !dialing.has(entry.peer ?? entry.key) && !this.#isConnected(entry))
      .sort((a, b) => b.pinned.size - a.pinned.size || lastReachedMs(b) - lastReachedMs(a));
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of idle) {
      const wanted = entry.pinned.size > 0 || this.#connected.size + this.#dials < targetConnections;
      if (!wanted || this.#dials >= maxParallelDials) continue; // the end of a dial or of a connection pumps again
      if (dialing.has(entry.peer ?? entry.key)) continue;
      if (entry.dueMs <= nowMs) {
        dialing.add(entry.peer ?? entry.key);
        entry.dialing = this.#dial(entry);
      } else nextMs = Math.min(nextMs, entry.dueMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) {
      this.#cancelTimer = this.#deps.clock.after(nextMs - nowMs, () => this.#pump());
    }
  }

  async #dial(entry: Entry): Promise<void> {
    this.#dials += 1;
    try {
      const peer = await this.#deps.dial([...entry.addresses.keys()], this.#stopping.signal);
      entry.peer = peer;
    } catch (error) {
      entry.failures += 1;
      entry.dueMs = this.#deps.clock.monotonicMs() + this.#backOffMs(entry.failures - 1);
      this.#deps.logger.debug({ err: error, peer: entry.key, failures: entry.failures }, 'dial failed');
      if (entry.pinned.size === 0 && entry.failures >= this.#deps.options.maxFailures) this.#entries.delete(entry.key);
    } finally {
      this.#dials -= 1;
      entry.dialing = undefined;
      this.#pump();
    }
  }

  #saveSoon(): void {
    if (this.#cancelSave !== undefined || !this.#running) return;
    this.#cancelSave = this.#deps.clock.after(SAVE_DELAY_MS, () => {
      this.#cancelSave = undefined;
      void this.#save();
    });
  }

  /** Losing the book costs a few dials: a full disk must not take the network down. */
  async #save(): Promise<void> {
    try {
      await this.#deps.store.savePeers(this.addresses());
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'peers not saved');
    }
  }
}

function tryParse(address: string): PeerAddress | undefined {
  try {
    return parsePeerAddress(address);
  } catch {
    return undefined; // what a peer or an old file says may be anything
  }
}

/** 0 for never. */
function lastReachedMs(entry: Entry): number {
  return Math.max(...entry.addresses.values());
}

function oldestOf(entry: Entry): string {
  const loose = [...entry.addresses].filter(([address]) => !entry.pinned.has(address));
  return loose.reduce((oldest, item) => (item[1] < oldest[1] ? item : oldest))[0];
}

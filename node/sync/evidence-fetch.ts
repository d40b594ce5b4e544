/**
 * Asks peers for their evidence, page by page: each has one piece for each offender that it knows of, in order of their
 * addresses. A page may be all known here and the next not, so that the pages are counted, not ended by a page that
 * brings nothing.
 */
import { decodeEvidence } from '../../chain/codec.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { Address } from '../../crypto/address.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import { Lru } from '../lru.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Network, PeerKey } from '../ports.ts';
import { PeerFault } from '../requests/exchange.ts';
import { MAX_EVIDENCE_PER_REQUEST } from './protocols.ts';
import { requestEvidence } from './requests.ts';

export interface EvidenceFetchDeps {
  readonly network: Network;
  readonly agreement: Pick<AgreementService, 'rules'>;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'syncRequests'>;
  /** Takes evidence from a peer's store through the spine. */
  readonly receiveEvidence: (evidence: readonly Uint8Array[]) => Promise<Reason | undefined>;
  /** Hears of a peer that failed a request. */
  readonly onFault: (peer: PeerKey, error: unknown, protocol: string) => void;
  readonly signal: AbortSignal;
}

/** First and longest time that a peer is not asked again after it told us nothing new: its digest may be made up. */
const MIN_BACK_OFF_MS = 5_000;
const MAX_BACK_OFF_MS = 160_000;
/** Who is forgotten may be asked at once. */
const PEERS_REMEMBERED = 1_024;

/** A peer that had nothing for us. */
interface Barren {
  readonly askedAtMs: number;
  readonly waitMs: number;
  /** How many there could be evidence against then. With more, what was of no use may be of some. */
  readonly maxOffenders: number;
}

/**
 * Specification: of a peer that speaks of other offenders, all its evidence is asked for that can be against voters. No
 * honest peer has more pages than there are possible offenders, and one for those that only it knows of; nor one on
 * which nobody has ever been a voter here, unless we lack blocks, and then it is asked again.
 *
 * Bound: one fetch at a time for each peer, of ⌈possible offenders / 256⌉ + 1 pages; after one that told us nothing new,
 * the next waits from `MIN_BACK_OFF_MS`, twice as long each time, up to `MAX_BACK_OFF_MS`. What is new is bounded by the
 * possible offenders.
 */
export class EvidenceFetch {
  readonly #deps: EvidenceFetchDeps;
  /** Peers that are being asked. */
  readonly #asking = new Set<PeerKey>();
  readonly #barren = new Lru<PeerKey, Barren>(PEERS_REMEMBERED);

  constructor(deps: EvidenceFetchDeps) {
    this.#deps = deps;
  }

  /** The connected peer knows of other offenders than we do, or says so. */
  onOtherOffenders(peer: PeerKey): void {
    const { signal, clock, onFault } = this.#deps;
    if (signal.aborted || this.#asking.has(peer) || clock.monotonicMs() < this.#askableAtMs(peer)) return;
    this.#asking.add(peer);
    const { offendersDigest } = this.#deps.agreement.rules;
    this.#fetchPages(peer)
      .catch((error: unknown) => onFault(peer, error, 'evidence'))
      .finally(() => {
        this.#asking.delete(peer);
        if (this.#deps.agreement.rules.offendersDigest !== offendersDigest) this.#barren.delete(peer);
        else this.#backOff(peer);
      });
  }

  #askableAtMs(peer: PeerKey): number {
    const barren = this.#barren.get(peer);
    if (barren === undefined) return Number.NEGATIVE_INFINITY;
    return barren.askedAtMs + (this.#isStale(barren) ? MIN_BACK_OFF_MS : barren.waitMs);
  }

  #backOff(peer: PeerKey): void {
    const last = this.#barren.get(peer);
    const waitMs =
      last === undefined || this.#isStale(last) ? MIN_BACK_OFF_MS : Math.min(MAX_BACK_OFF_MS, 2 * last.waitMs);
    const { maxOffenders } = this.#deps.agreement.rules;
    this.#barren.set(peer, { askedAtMs: this.#deps.clock.monotonicMs(), waitMs, maxOffenders });
  }

  #isStale({ maxOffenders }: Barren): boolean {
    return maxOffenders !== this.#deps.agreement.rules.maxOffenders;
  }

  async #fetchPages(peer: PeerKey): Promise<void> {
    const { metrics, receiveEvidence, agreement, signal } = this.#deps;
    const maxPages = Math.ceil(agreement.rules.maxOffenders / MAX_EVIDENCE_PER_REQUEST) + 1;
    let after: Address | undefined;
    for (let pages = 0; pages < maxPages; pages += 1) {
      const page = await requestEvidence(this.#deps, peer, after, signal);
      metrics.syncRequests.inc({ protocol: 'evidence', result: 'ok' });
      const bad = await receiveEvidence(page);
      if (bad !== undefined) throw new PeerFault('invalid', `evidence: ${bad}`);
      const last = page.at(-1);
      if (last === undefined || page.length < MAX_EVIDENCE_PER_REQUEST) return;
      const decoded = decodeEvidence(last);
      // Addresses rise, so the pages end.
      if (!decoded.ok || decoded.value.voter <= (after ?? '')) throw new PeerFault('invalid', 'evidence: out of order');
      after = decoded.value.voter;
      if (!page.some((evidence) => this.#isAgainstOffender(evidence))) return;
    }
  }

  /** Whoever there is good evidence against is an offender once it was taken; the others are strangers. */
  #isAgainstOffender(evidence: Uint8Array): boolean {
    const decoded = decodeEvidence(evidence);
    return decoded.ok && this.#deps.agreement.rules.isOffender(decoded.value.voter);
  }
}

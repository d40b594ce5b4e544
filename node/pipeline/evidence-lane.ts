/** Evidence of an offence: from its bytes to what the agreement says of it. By gossip, or from a peer's store. */
import { decodeEvidence } from '../../chain/codec.ts';
import type { ChainParams } from '../../chain/params.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { ChainId, Evidence } from '../../chain/types.ts';
import { checkEvidenceStateless, evidenceSignatureItems } from '../../chain/validate/evidence.ts';
import { reject, type Verdict } from '../../chain/verdict.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { SignatureVerifier } from '../ports.ts';
import type { Item } from './lane-item.ts';
import type { OutcomeVerdict } from './outcome.ts';

export interface EvidenceLaneDeps {
  readonly chainId: ChainId;
  readonly params: ChainParams;
  readonly agreement: AgreementService;
  readonly verifier: SignatureVerifier;
  /** The evidence was ignored. */
  readonly onIgnored: (item: Item, verdict: OutcomeVerdict) => void;
}

/**
 * Checks form and signatures, and gives the agreement what is left. What comes by gossip and what a peer's store
 * gives are checked alike, and neither waits for the other.
 */
export class EvidenceLane {
  readonly #deps: EvidenceLaneDeps;

  constructor(deps: EvidenceLaneDeps) {
    this.#deps = deps;
  }

  /** Evidence from gossip. */
  async serve(items: readonly Item[]): Promise<void> {
    const verdicts = await this.#check(
      items.map(({ bytes }) => bytes),
      'gossip',
    );
    for (const [index, item] of items.entries()) {
      const verdict = verdicts[index]!;
      if (verdict.kind === 'ignore') this.#deps.onIgnored(item, verdict);
      item.answer(verdict);
    }
  }

  /** Evidence from a peer's store. Returns the reason of the first that no honest peer gives; the rest is taken. */
  async receive(encoded: readonly Uint8Array[]): Promise<Reason | undefined> {
    const verdicts = await this.#check(encoded, 'sync');
    return verdicts.find((verdict) => verdict.kind === 'reject')?.reason;
  }

  /** EVID-1..EVID-6. What is known, or not by an elector, costs no signature check. */
  async #check(encoded: readonly Uint8Array[], from: 'gossip' | 'sync'): Promise<readonly Verdict<Evidence, Reason>[]> {
    const { chainId, params, verifier, agreement } = this.#deps;
    const verdicts = encoded.map((bytes): Verdict<Evidence, Reason> => {
      const decoded = decodeEvidence(bytes);
      if (!decoded.ok) return reject('evidence/malformed'); // EVID-1
      const context = { chainId, checkpointInterval: params.checkpointInterval };
      const verdict = checkEvidenceStateless(decoded.value, context);
      return verdict.kind === 'accept' ? agreement.rules.checkEvidence(decoded.value) : verdict;
    });
    const items = verdicts.flatMap((verdict) =>
      verdict.kind === 'accept' ? evidenceSignatureItems(verdict.value) : [],
    );
    const good = await verifier.verify(items);
    let position = 0;
    return verdicts.map((verdict) => {
      if (verdict.kind !== 'accept') return verdict;
      const isGood = good[position] === true && good[position + 1] === true;
      position += 2;
      return isGood ? agreement.receiveEvidence(verdict.value, from) : reject('evidence/bad-signature'); // EVID-5
    });
  }
}

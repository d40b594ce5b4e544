/** The API's calls about agreement: the tip and its votes, certificates, evidence. */
import { isSupermajority } from '../../chain/electorate.ts';
import type { Checkpoint } from '../../chain/types.ts';
import { type Address, formatAddress } from '../../crypto/address.ts';
import { collectCertificate } from '../agreement/collect-certificate.ts';
import type { ApiBackend } from '../api/backend.ts';
import { blockRefDto, electorateDto, entryRefDto, evidenceDto } from '../api/dto.ts';
import { TIP_VOTE_HEIGHTS, type TipInfo } from '../api/schemas.ts';
import type { GrapevineNode } from '../compose.ts';
import type { ApiBackendDeps } from './backend-deps.ts';

/** Heights without agreement after which it is called stalled: more than a run of unlucky forks. */
const STALLED_HEIGHTS = 5n;

/**
 * What is on disk, for tip, agreed and final block; votes at recent heights as they are counted, or, where they are
 * no longer counted, as the stored certificate has them. A certificate is looked for in the store at each call
 * (`collectCertificate`).
 */
export function agreementCalls({ node, store }: ApiBackendDeps): Pick<ApiBackend, 'tip' | 'certificate' | 'evidence'> {
  const { chain, agreement } = node;
  return {
    async tip(): Promise<TipInfo> {
      const rules = agreement.rules;
      // What lies below the final block is forgotten there, and decided.
      const isKnownAgreed = ({ id, height }: Checkpoint): boolean => rules.isAgreed(id) || height < rules.final.height;
      const tip = chain.tip.header.height;
      const lowest = tip - BigInt(TIP_VOTE_HEIGHTS - 1) > 1n ? tip - BigInt(TIP_VOTE_HEIGHTS - 1) : 1n;
      const votes: TipInfo['votes'] = [];
      // Most vote at each height.
      const written = new Map<Address, string>();
      const writeOut = (voter: Address): string => {
        const text = written.get(voter) ?? formatAddress(voter);
        written.set(voter, text);
        return text;
      };
      for (let height = tip; height >= lowest; height--) {
        const counted = rules.votesAt(height);
        const proof = counted.length === 0 ? await store.certificate(height) : undefined;
        const links = proof
          ? [{ ...proof, voters: proof.votes.map((vote) => vote.voter), tallies: undefined }]
          : counted;
        if (links.length === 0) continue;
        votes.push({
          height: height.toString(),
          links: links.map(({ source, target, voters, tallies }) => ({
            source: blockRefDto(source),
            target: blockRefDto(target),
            voters: voters.map(writeOut),
            agreed: proof !== undefined || (tallies?.every(isQuorum) === true && isKnownAgreed(target)),
            ...(tallies && { tallies: [...tallies] }),
          })),
        });
      }
      return {
        tip: entryRefDto(chain.tip),
        agreed: blockRefDto(agreement.agreed),
        final: blockRefDto(agreement.final),
        stalled: isStalled(node),
        n: rules.inForce[0]?.total ?? 0,
        quorum: rules.quorum,
        electorate: { ...rules.rule, inForce: rules.inForce.map(electorateDto) },
        offenders: rules.evidence.map(({ voter }) => formatAddress(voter)),
        votes,
      };
    },

    certificate: (height, state) => collectCertificate(height, state, { store, chain, agreement }),

    async evidence(limit, after) {
      const page = agreement.evidenceAfter(after, limit + 1);
      const last = page.length > limit ? page[limit - 1] : undefined;
      return {
        offenders: agreement.rules.evidence.length,
        evidence: page.slice(0, limit).map(evidenceDto),
        ...(last && { next: formatAddress(last.voter) }),
      };
    },
  };
}

function isQuorum({ weight, total }: { readonly weight: number; readonly total: number }): boolean {
  return isSupermajority(weight, total);
}

/** The chain grows, agreement does not. */
function isStalled(node: GrapevineNode): boolean {
  const interval = BigInt(node.genesis.params.checkpointInterval);
  return node.chain.tip.header.height - node.agreement.agreed.height > STALLED_HEIGHTS * interval;
}

/** Bugs of the kinds that hurt, each as a change to the source text, and the scenario that must catch it. */

export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  /** Must occur once in the file. */
  readonly from: string;
  readonly to: string;
  /** In `sim/scenarios/`, without `.yaml`. */
  readonly scenario: string;
  /** The first seeds, of which one at least must fail. */
  readonly seeds: number;
  /** Of the expectations that fail, one must be this. */
  readonly caughtBy: string;
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'quorum off by one',
    file: 'chain/electorate.ts',
    from: 'return 3 * weight > 2 * total;',
    to: 'return 3 * weight >= 2 * total;',
    scenario: 'partition-exactly-two-thirds',
    seeds: 1,
    caughtBy: 'agreementStalls',
  },
  {
    name: 'vote published before it is persisted',
    file: 'node/agreement/agreement-service.ts',
    from: 'await store.saveOwnVote(vote, next);',
    to: 'publish(vote);\n    await store.saveOwnVote(vote, next);',
    scenario: 'slow-disks-lose-power',
    seeds: 12,
    caughtBy: 'honestNotAccused',
  },
  {
    name: 'undo that forgets the fee',
    file: 'chain/state.ts',
    from: 'before.set(address, exists(account) ? account : undefined);',
    to: `const fee = this.#after.get(address)!.nonce > account.nonce ? 2_000n : 0n;
      before.set(address, exists(account) ? { ...account, balance: account.balance - fee } : undefined);`,
    scenario: 'partition-50-50',
    seeds: 1,
    caughtBy: 'noInternalErrors',
  },
  {
    name: 'undo that forgets the fee, and nobody compares',
    file: 'chain/state.ts',
    from: 'for (const [address, account] of delta.before) this.#put(address, account);',
    to: `for (const [address, account] of delta.before) {
      const spent = (delta.after.get(address)?.nonce ?? 0n) - (account?.nonce ?? 0n);
      this.#put(address, account && { ...account, balance: account.balance - 2_000n * spent });
    }`,
    scenario: 'reorg-deep',
    seeds: 1,
    caughtBy: 'supplyConserved',
  },
  {
    name: 'ASERT sign error',
    file: 'chain/asert.ts',
    from: '((timeDiff - idealBlockTime * heightDiff) << 16n)',
    to: '((idealBlockTime * heightDiff - timeDiff) << 16n)',
    scenario: 'hash-rate-quarter-early',
    seeds: 1,
    caughtBy: 'blockInterval',
  },
  {
    name: 'mempool that loses transactions on a reorg',
    file: 'node/mempool-service.ts',
    from: 'this.pool.onBlocks(connected, disconnected, chain.accounts',
    to: 'this.pool.onBlocks(connected, disconnected.slice(0, 0), chain.accounts',
    scenario: 'reorg-deep',
    seeds: 1,
    caughtBy: 'txsFinal',
  },
  {
    name: 'forwarding before the verdict',
    file: 'node/pipeline/ingest.ts',
    from: 'done: (verdict) => settleOutcome(this.#deps, message, verdict),\n    });',
    to: 'done: (verdict) => settleOutcome(this.#deps, { ...message, settle() {} }, verdict),\n    });\n    message.settle("accept");',
    scenario: 'spam',
    seeds: 1,
    caughtBy: 'refused',
  },
  {
    name: 'evidence that is not looked for',
    file: 'chain/validate/vote.ts',
    from: `if (a.target.height === b.target.height) return 'double';`,
    to: 'if (a.target.height === b.target.height) return undefined;',
    scenario: 'third-minus-one-double-vote',
    seeds: 1,
    caughtBy: 'evidenceAtLeast',
  },
  {
    name: 'hand-over that asks only the new electorate',
    file: 'chain/electorate.ts',
    from: 'return rear.id === forward.id ? [ahead] : [ahead, this.#drawnAt(rear, tree)];',
    to: 'return rear.id === forward.id ? [ahead] : [ahead];',
    scenario: 'miners-hand-over-needs-both',
    seeds: 1,
    caughtBy: 'agreementStalls',
  },
  {
    name: 'restart that forgets the old electorate',
    file: 'chain/agreement.ts',
    from: 'this.#recordAgreed(target, certificate, this.#dynastyAfter(certificate), tree);',
    to: 'this.#recordAgreed(target, certificate, { rear: target, forward: target }, tree);',
    scenario: 'miners-restart-in-hand-over',
    seeds: 1,
    caughtBy: 'agreementStalls',
  },
  {
    name: 'electorate that never changes hands',
    file: 'chain/electorate.ts',
    from: 'return isDirect ? { rear: dynasty.forward, forward: link.source } : dynasty;',
    to: 'return isDirect ? dynasty : dynasty;',
    scenario: 'miners-churn',
    seeds: 1,
    caughtBy: 'agreesBetween',
  },
  {
    name: 'miners that count by heads, not by blocks',
    file: 'chain/link-book.ts',
    from: 'return electorate.weights.get(voter) ?? 0;',
    to: 'return electorate.weights.has(voter) ? electorate.total / electorate.weights.size : 0;',
    scenario: 'miners-partition-70-30',
    seeds: 1,
    caughtBy: 'agreesBetween',
  },
  {
    name: 'half of the weight is enough',
    file: 'chain/electorate.ts',
    from: 'return 3 * weight > 2 * total;',
    to: 'return 2 * weight > total;',
    scenario: 'miners-third-minus-one-withhold',
    seeds: 1,
    caughtBy: 'agreementStalls',
  },
];

/** What can be wrong with a store, and what `db repair` does about each. */

const CUT = 'cuts the chain below it; peers give the blocks again';
const REBUILD = 'builds it again from the blocks';
const DROP = 'drops it; peers give it again where it matters';

const RAISE = 'raises the guard above all that this node can have voted for: until then its key does not vote';
const GATHER =
  'has LevelDB gather what its files still hold, and builds the rest again; the vote guard is taken from its copy in a ' +
  'file of its own; where that is gone too, it is raised, as part of what this node voted may be gone';

/** Fault → what repair does. */
export const FAULTS = {
  files: GATHER,
  unreadable: GATHER,
  'cut-short': 'does the repair again from its beginning',
  'unknown-record': 'removes it',
  'bad-record': 'drops the record, and builds it again where it follows from the blocks',
  meta: 'writes it again',
  pruned: 'takes the store as one that was never pruned',
  'header-missing': 'takes the header from the body',
  'header-parent': 'drops the block and those above it; peers give them again',
  'header-invalid': 'drops the block and those above it; peers give them again',
  'header-derived': 'computes it again',
  'body-missing': CUT,
  'body-invalid': CUT,
  'body-signature': CUT,
  'body-state': CUT,
  'base-state':
    'begins again at genesis: the state cannot be told without the pruned bodies; peers give the chain again',
  'delta-missing': REBUILD,
  'delta-wrong': REBUILD,
  'delta-orphan': 'removes it',
  'account-missing': REBUILD,
  'account-wrong': REBUILD,
  'account-extra': 'removes it',
  supply: 'sets it right with the accounts',
  'tx-index': REBUILD,
  history: REBUILD,
  tip: 'moves the tip to the best whole chain',
  'certificate-invalid': DROP,
  'certificate-unproved': DROP,
  final: 'goes back to the highest block whose finality the certificates prove; peers prove the rest again',
  'vote-invalid': DROP,
  'guard-unreadable': `takes it from its copy in a file of its own; where that is gone too, ${RAISE}`,
  'guard-behind': RAISE,
  'guard-file': 'writes it again from the guards in the database',
  'evidence-invalid': 'removes it: it proves nothing',
  'mempool-invalid': 'removes it',
  'peers-unreadable': 'forgets the address book; the bootstrap peers fill it again',
} as const satisfies Record<string, string>;

export type FaultKind = keyof typeof FAULTS;

export interface Fault {
  readonly kind: FaultKind;
  /** Which record or block, and how. */
  readonly detail: string;
  /** What repair does. */
  readonly repair: string;
}

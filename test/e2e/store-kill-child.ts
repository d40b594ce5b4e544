/**
 * Writes to the store in argv[2] for as long as it lives, and prints one line for each write that was acknowledged:
 * `block <id> <height>` or `vote <id> <target height>`. `store-kill.test.ts` kills it.
 */
import { openLevelStore } from '../../node/store/open-level-store.ts';
import {
  addressOfWallet,
  chainIdOf,
  makeChild,
  makeCommit,
  makeGenesis,
  makeTestVote,
  makeTransfer,
  type TestBlock,
  WALLETS,
} from '../unit/store/chain-builder.ts';

const [location = ''] = process.argv.slice(2);
const VOTER = 1;

const genesis = makeGenesis();
const chainId = chainIdOf(genesis);
const store = await openLevelStore({ location, dataDir: location });
const loaded = await store.load(chainId);
let tip: TestBlock = genesis;
if (loaded === undefined) {
  await store.initialize(genesis, genesis.accounts);
} else {
  const entry = loaded.entries.find(({ header }) => header.id === loaded.tip)!;
  const block = await store.block(loaded.tip);
  const delta = await store.delta(loaded.tip);
  if (block === undefined || delta === undefined) throw new Error('the tip has no block or no delta');
  tip = { entry, block, delta, parent: genesis, accounts: loaded.accounts };
}
for (let arrival = (loaded?.entries.length ?? 0) + 1; ; arrival += 1) {
  const parent = tip;
  const txs = Array.from({ length: arrival % 40 }, (_, i) =>
    makeTransfer(parent, chainId, i % WALLETS, (i + 1) % WALLETS, 1n, BigInt(Math.floor(i / WALLETS))),
  );
  tip = makeChild(parent, txs, arrival);
  const { id, height } = tip.entry.header;
  await store.commit(makeCommit([tip], parent, tip));
  print(`block ${id} ${height}`);
  const vote = makeTestVote(chainId, VOTER, parent.entry.header, tip.entry.header);
  await store.saveOwnVote(vote, { sourceHeight: parent.entry.header.height, targetHeight: height });
  print(`vote ${vote.id} ${height}`);
  await store.saveMempool(
    [makeTransfer(tip, chainId, 2, 3, 1n)],
    txs.map((tx) => tx.id),
  );
  if ((await store.voteGuard(addressOfWallet(VOTER)))?.targetHeight !== height) throw new Error('the guard is behind');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

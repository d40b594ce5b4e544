import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Vote } from '../../chain/types.ts';
import { openLevelStore } from '../../node/store/open-level-store.ts';
import {
  addressOfWallet,
  chainIdOf,
  GENESIS_BALANCE,
  makeGenesis,
  PARAMS,
  WALLETS,
} from '../unit/store/chain-builder.ts';
import { withDirectory } from '../unit/store/open-store.ts';

const CHILD = fileURLToPath(new URL('store-kill-child.ts', import.meta.url));
const ROUNDS = 15;
const SEED = 20_240_601;

/** Mulberry32: the moments of the kills, the same on every run. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Runs the child until it has acknowledged `count` writes, kills it, and returns every line it got out. */
async function runAndKill(location: string, count: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [CHILD, location], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  const errors: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
  const lines: string[] = [];
  // What was printed before the kill is still in the pipe after it.
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === count) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  expect(signal, errors.join('')).toBe('SIGKILL');
  return lines;
}

test('what was acknowledged is there after SIGKILL at any moment: blocks, own votes, guard', () =>
  withDirectory(async (location) => {
    const random = makeRandom(SEED);
    const chainId = chainIdOf(makeGenesis());
    const acknowledged: string[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      // Every third is killed with its first writes, once with the very first.
      acknowledged.push(...(await runAndKill(location, round % 3 === 1 ? round : 1 + random(120))));

      const store = await openLevelStore({ location, dataDir: location });
      const loaded = await store.load(chainId);
      if (loaded === undefined) throw new Error('the chain is gone');
      const entries = new Map(loaded.entries.map((entry) => [entry.header.id as string, entry]));
      const votes = new Map(loaded.votes.map((vote): [string, Vote] => [vote.id, vote]));
      let highestVote = 0n;
      for (const line of acknowledged) {
        const [kind, id = '', height = ''] = line.split(' ');
        if (kind === 'block') {
          const entry = entries.get(id);
          expect(entry?.header.height, line).toBe(BigInt(height));
          expect((await store.block(entry!.header.id))?.header.id, line).toBe(id);
        } else {
          expect(votes.get(id)?.target.height, line).toBe(BigInt(height));
          highestVote = BigInt(height);
        }
      }
      const guard = await store.voteGuard(addressOfWallet(1));
      expect(guard?.targetHeight ?? 0n).toBeGreaterThanOrEqual(highestVote);
      if (guard !== undefined) expect(guard.sourceHeight).toBe(guard.targetHeight - 1n);

      const tip = entries.get(loaded.tip);
      const supply = [...loaded.accounts.values()].reduce((sum, { balance }) => sum + balance, 0n);
      const minted = PARAMS.blockReward * tip!.header.height;
      expect(supply).toBe(GENESIS_BALANCE * BigInt(WALLETS) + minted);
      const block = await store.block(loaded.tip);
      for (const [index, tx] of block!.txs.entries()) {
        expect(await store.txLocation(tx.id)).toEqual({ block: loaded.tip, index });
      }
      await store.close();
    }
    expect(acknowledged.length).toBeGreaterThan(ROUNDS * 20);
  }));

/** The devnet's directory: its genesis, one folder a node, and a lock that says who runs it. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Genesis, genesisDoc } from '../../chain/genesis.ts';
import { UNITS_PER_COIN } from '../../chain/params.ts';
import { bitsForHashes } from '../../chain/target.ts';
import { makeDirectory } from '../../node/make-directory.ts';
import { DEV_BALANCE, DEV_NETWORK, devAccounts, devCanary, devVoter } from '../dev-accounts.ts';
import { UsageError } from '../exit.ts';
import { readGenesis } from '../json-file.ts';

const CANARY_BALANCE = 100n * UNITS_PER_COIN;
/** Double SHA-256 per second and core of the SIMD kernel, roughly; ASERT corrects the rest. */
const HASHES_PER_CORE_SECOND = 5_000_000;

export interface NetworkShape {
  readonly nodes: number;
  readonly blockTimeMs: number;
}

export interface NetworkDir {
  readonly path: string;
  readonly genesisPath: string;
  readonly genesis: Genesis;
  readonly shape: NetworkShape;
  /** True when the chain was there before. */
  readonly isContinued: boolean;
  nodeDir(index: number): string;
  /** Gives up the lock. */
  release(): Promise<void>;
}

/**
 * Opens the directory, or makes a new network in it.
 * @param wanted what the user asked for; undefined: as it was, or the default
 * @param hashBudget share of a core each miner has: with it the first target is about right
 * @throws UsageError when another devnet runs there, or the network there has another shape
 */
export async function openNetworkDir(options: {
  readonly path: string;
  readonly fresh: boolean;
  readonly wanted: { readonly nodes: number | undefined; readonly blockTimeMs: number | undefined };
  readonly defaults: NetworkShape;
  readonly hashBudget: number;
  readonly nowMs: number;
}): Promise<NetworkDir> {
  const { path, wanted, defaults } = options;
  const lockPath = join(path, 'devnet.lock');
  await makeDirectory(path);
  await takeLock(lockPath, path);
  try {
    const genesisPath = join(path, 'genesis.json');
    if (options.fresh) await removeNetwork(path);
    const isContinued = (await readText(genesisPath)) !== undefined;
    if (!isContinued) {
      const shape = { nodes: wanted.nodes ?? defaults.nodes, blockTimeMs: wanted.blockTimeMs ?? defaults.blockTimeMs };
      const doc = makeGenesis(shape, options.hashBudget, options.nowMs);
      await writeFile(genesisPath, `${JSON.stringify(doc, null, 2)}\n`);
    }
    const genesis = await readGenesis(genesisPath).catch((error: unknown) => {
      if (!(error instanceof UsageError)) throw error; // damaged, or no devnet's
      throw new UsageError(`${error.message}; --fresh starts a new network`);
    });
    const shape = { nodes: genesis.electorate.length, blockTimeMs: genesis.params.blockTimeMs };
    refuseOtherShape(wanted, shape, path);
    return {
      path,
      genesisPath,
      genesis,
      shape,
      isContinued,
      nodeDir: (index) => join(path, `node${index + 1}`),
      release: () => releaseLock(lockPath),
    };
  } catch (error) {
    await releaseLock(lockPath);
    throw error;
  }
}

function makeGenesis(shape: NetworkShape, hashBudget: number, nowMs: number) {
  const hashesPerBlock = shape.nodes * hashBudget * HASHES_PER_CORE_SECOND * (shape.blockTimeMs / 1000);
  return genesisDoc({
    name: DEV_NETWORK,
    timestampMs: nowMs,
    alloc: [
      ...devAccounts().map(({ address }) => ({ address, balance: DEV_BALANCE })),
      { address: devCanary().address, balance: CANARY_BALANCE },
    ],
    voters: Array.from({ length: shape.nodes }, (_, index) => devVoter(index).address),
    params: {
      blockTimeMs: shape.blockTimeMs,
      initialBits: bitsForHashes(BigInt(Math.max(256, Math.round(hashesPerBlock)))),
    },
  });
}

function refuseOtherShape(
  wanted: { readonly nodes: number | undefined; readonly blockTimeMs: number | undefined },
  shape: NetworkShape,
  path: string,
): void {
  const differs = (what: string, asked: unknown, is: unknown): never => {
    throw new UsageError(`${path} holds a network with ${what} ${is}, not ${asked}; --fresh starts a new one`);
  };
  if (wanted.nodes !== undefined && wanted.nodes !== shape.nodes) differs('--nodes', wanted.nodes, shape.nodes);
  if (wanted.blockTimeMs !== undefined && wanted.blockTimeMs !== shape.blockTimeMs) {
    differs('--block-time', wanted.blockTimeMs / 1000, shape.blockTimeMs / 1000);
  }
}

/** Removes what a devnet has made, and nothing else that may lie in the directory. */
async function removeNetwork(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (name === 'genesis.json' || /^node\d+(\.log)?$/.test(name))
      await rm(join(path, name), { recursive: true, force: true });
  }
}

/** Takes the lock, or says who has it. Made with `wx`: of two that start at once, one gets it. */
async function takeLock(lockPath: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await writeFile(lockPath, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number((await readText(lockPath)) || Number.NaN);
    // Just made and not yet written counts as held; a lock whose owner is gone is nobody's.
    if (!Number.isInteger(owner) || isAlive(owner)) {
      const who = Number.isInteger(owner) ? ` (process ${owner})` : '';
      throw new UsageError(
        `a devnet runs in ${path} already${who}; stop it or choose another --data-dir (the lock is ${lockPath})`,
      );
    }
    await rm(lockPath, { force: true });
  }
  throw new UsageError(`a devnet has just started in ${path}`);
}

/** Gives up the lock, if it is still ours. */
async function releaseLock(lockPath: string): Promise<void> {
  if ((await readText(lockPath)) === String(process.pid)) await rm(lockPath, { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

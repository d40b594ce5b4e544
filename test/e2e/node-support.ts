/** Single nodes as processes, on a network of their own. */
import { join } from 'node:path';
import { peerIdOfSeed } from '../../node/net/identity.ts';
import type { GrapevineClient } from '../../scripts/client.ts';
import { devIdentitySeed } from '../../scripts/dev-accounts.ts';
import { clientOf, type Running, type Workbench } from './process-support.ts';

export interface NodeInit {
  /** Which of the development identities and voters; also chooses its ports. */
  readonly index: number;
  readonly genesis: string;
  readonly dataDir: string;
  readonly base: number;
  /** The nodes to dial. */
  readonly peers?: readonly number[];
  readonly flags?: readonly string[];
}

export interface StartedNode {
  readonly running: Running;
  readonly client: GrapevineClient;
  readonly url: string;
  /** Multiaddr with peer id. */
  readonly address: string;
}

/** Makes a devnet's genesis document with so many voters; returns its path. */
export async function makeGenesis(
  bench: Workbench,
  directory: string,
  voters: number,
  blockTimeS: number,
): Promise<string> {
  const path = join(directory, `genesis-${voters}.json`);
  const { status, stderr } = await bench.run([
    ...['make-genesis', '--voters', String(voters), '--block-time', String(blockTimeS)],
    ...['--initial-hashes', '4000', '-o', path],
  ]);
  if (status !== 0) throw new Error(stderr);
  return path;
}

export function addressOf(base: number, index: number): string {
  return `/ip4/127.0.0.1/tcp/${base + 101 + index}/p2p/${peerIdOfSeed(devIdentitySeed(index))}`;
}

/** Starts a node; does not wait for it. */
export function startNode(bench: Workbench, init: NodeInit): StartedNode {
  const { index, base, peers = [] } = init;
  const running = bench.start([
    'node',
    `--name=node${index + 1}`,
    `--dev-index=${index}`,
    `--genesis=${init.genesis}`,
    `--data-dir=${init.dataDir}`,
    `--listen=/ip4/127.0.0.1/tcp/${base + 101 + index}`,
    `--api-port=${base + 1 + index}`,
    `--bootstrap=${peers.map((peer) => addressOf(base, peer)).join(',')}`,
    '--log-format=json',
    ...(init.flags ?? []),
  ]);
  const url = `http://127.0.0.1:${base + 1 + index}`;
  return { running, url, client: clientOf(url), address: addressOf(base, index) };
}

/** Waits until the node's API answers. */
export async function untilStarted(node: StartedNode): Promise<void> {
  await node.running.says(/"msg":"started"/);
}

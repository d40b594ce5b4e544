/** Three real nodes: killed and stopped, damaged, doubled, and met by a stranger. The tests build on each other. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAddress } from '../../crypto/address.ts';
import { createSystemClock } from '../../node/adapters.ts';
import { devAccount, devVoter } from '../../scripts/dev-accounts.ts';
import { untilAdmitted } from '../../scripts/until-admitted.ts';
import { eventually } from '../eventually.ts';
import { makeGenesis, type StartedNode, startNode, untilStarted } from './node-support.ts';
import { internalErrors, Workbench } from './process-support.ts';

const clock = createSystemClock();
const bench = new Workbench();
const INDEXES = [0, 1, 2] as const;
let directory: string;
let genesis: string;
let base: number;
const nodes: StartedNode[] = [];

function start(index: number): StartedNode {
  const peers = INDEXES.filter((other) => other !== index);
  return startNode(bench, { index, base, genesis, peers, dataDir: dataDirOf(index), flags: ['--hash-budget=0.003'] });
}

const dataDirOf = (index: number): string => join(directory, `node${index + 1}`);
const height = async (node: StartedNode): Promise<bigint> => BigInt((await node.client.tip()).tip.height);

/** In the mesh, at the tip of the others, and no longer behind. */
async function isBack(node: StartedNode): Promise<boolean> {
  if (!(await node.client.readiness()).ready) return false;
  const other = await nodes.find((each) => each !== node)!.client.tip();
  return (await height(node)) >= BigInt(other.tip.height);
}

/** Every file below the directory, by name, with a digest of its bytes. */
async function contentOf(path: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    content[file] = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  }
  return content;
}

/** Sends transfers through the first node until stopped; returns how many were accepted. */
function load(): () => Promise<number> {
  const stopping = new AbortController();
  const sending = (async () => {
    let sent = 0;
    const { secretKey } = devAccount(0);
    while (!stopping.signal.aborted) {
      const transfer = { secretKey, to: formatAddress(devAccount(1).address), amount: 1n };
      await untilAdmitted(() => nodes[0]!.client.sendTransaction(transfer), clock, new AbortController().signal);
      sent += 1;
      await clock.sleep(20, stopping.signal).catch(() => undefined); // aborted: the condition ends the loop
    }
    return sent;
  })();
  return () => {
    stopping.abort();
    return sending;
  };
}

beforeAll(async () => {
  directory = await bench.directory();
  base = await bench.basePort();
  genesis = await makeGenesis(bench, directory, INDEXES.length, 0.5);
  nodes.push(...INDEXES.map(start));
  for (const node of nodes) await eventually('ready', async () => (await node.client.readiness()).ready, 60_000);
});
afterAll(() => bench.clean());

describe('a node', () => {
  it('killed under load is back in the mesh and at the tip, with its chain, and breaks no rule of voting', async () => {
    const stopLoad = load();
    for (const round of [1, 2]) {
      const killed = nodes[2]!;
      const before = await eventually('the chain is final further on', async () => {
        const { final } = await killed.client.tip();
        return BigInt(final.height) >= BigInt(2 * round) ? final : undefined;
      });
      await killed.running.end('SIGKILL');
      const goneAt = await height(nodes[0]!);
      await eventually('the others go on', async () => (await height(nodes[0]!)) > goneAt);

      const again = start(2);
      nodes[2] = again;
      await untilStarted(again);
      expect(BigInt((await again.client.tip()).final.height)).toBeGreaterThanOrEqual(BigInt(before.height));
      await eventually('back', () => isBack(again));
      expect((await again.client.block(before.height)).id).toBe(before.id);
    }
    // Its votes count again: with all three, what is agreed goes on.
    const since = await height(nodes[2]!);
    const voter = formatAddress(devVoter(2).address);
    await eventually('its vote is counted', async () => {
      const { votes } = await nodes[0]!.client.tip();
      return votes.some(
        ({ height: target, links }) => BigInt(target) > since && links.some(({ voters }) => voters.includes(voter)),
      );
    });
    expect(await stopLoad()).toBeGreaterThan(20);
    for (const node of nodes) {
      expect((await node.client.tip()).offenders).toEqual([]);
      expect(await internalErrors(node.client)).toBe(0);
    }
    const finals = await eventually('one final block', async () => {
      const tips = await Promise.all(nodes.map(({ client }) => client.tip()));
      const lowest = tips.map(({ final }) => BigInt(final.height)).reduce((a, b) => (a < b ? a : b));
      return Promise.all(nodes.map(async ({ client }) => (await client.block(lowest)).id));
    });
    expect(new Set(finals).size).toBe(1);
  });

  it('refuses a data directory that another process uses, naming its path', async () => {
    const second = startNode(bench, { index: 3, base, genesis, dataDir: dataDirOf(0) });
    expect(await second.running.ends()).toEqual({ status: 1, signal: null });
    expect(second.running.stdout).toContain(`the store in ${join(dataDirOf(0), 'store')} is in use by another process`);
    expect((await nodes[0]!.client.readiness()).ready).toBe(true);
  });

  it('of another network that dials in is disconnected, with a line in the log that says why', async () => {
    const strangers = await bench.directory();
    const other = await makeGenesis(bench, strangers, 1, 0.5);
    const stranger = startNode(bench, {
      index: 3,
      base,
      genesis: other,
      dataDir: join(strangers, 'node'),
      peers: [0],
      flags: ['--mine=off', '--vote=false'],
    });
    await untilStarted(stranger);
    const { peerId } = await stranger.client.status();
    const line = await eventually('a log line on either side', () =>
      [nodes[0]!, stranger].flatMap(({ running }) => running.logs()).find(({ msg }) => msg.startsWith('wrong network')),
    );
    expect(line.msg).toBe('wrong network: the peer follows another genesis; disconnecting');
    await eventually('disconnected', async () => {
      const { peers } = await nodes[0]!.client.peers();
      return peers.length === 2 && !peers.some(({ id }) => id === peerId);
    });
    expect((await stranger.client.readiness()).missing).toContain('peers: none has told its status');
    expect(BigInt((await stranger.client.tip()).tip.height)).toBe(0n);
    expect((await nodes[0]!.client.readiness()).ready).toBe(true);
    expect(await stranger.running.end('SIGTERM')).toEqual({ status: 0, signal: null });
  });

  it('told to stop is gone, with exit status 0', async () => {
    expect(await nodes[2]!.running.end('SIGTERM')).toEqual({ status: 0, signal: null });
    expect(nodes[2]!.running.logs().at(-1)?.msg).toBe('stopped');
    await eventually('the others notice', async () => (await nodes[0]!.client.peers()).peers.length === 1);
  });

  it('refuses a damaged store with exit status 1, names the repair command, and leaves the files as they are', async () => {
    const store = join(dataDirOf(2), 'store');
    expect(await readdir(store)).toContain('CURRENT');
    await rm(join(store, 'CURRENT'));
    const before = await contentOf(dataDirOf(2));
    const again = start(2);
    expect(await again.running.ends()).toEqual({ status: 1, signal: null });
    expect(again.running.stdout).toContain(`the store in ${store} is damaged: its file CURRENT is missing`);
    expect(again.running.stdout).toContain(`npx grapevine db repair --data-dir ${dataDirOf(2)}`);
    expect(await contentOf(dataDirOf(2))).toEqual(before);
  });
});

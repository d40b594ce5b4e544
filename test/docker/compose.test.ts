import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { signTx } from '../../chain/sign.ts';
import type { ChainId } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import type {
  AccountInfo,
  BlockRef,
  BlockSummary,
  NodeStatus,
  TipInfo,
  TransactionStatus,
} from '../../node/api/schemas.ts';
import { devAccount } from '../../scripts/dev-accounts.ts';
import { eventually } from '../eventually.ts';
import { ComposeProject, NODES, type NodeName } from './compose-project.ts';

const MEBIBYTE = 1024 * 1024;
const GRACE_MS = 10_000;
const OBSERVERS = 3;

let project: ComposeProject;

const tipOf = (node: NodeName): Promise<TipInfo> => project.get<TipInfo>(node, '/v1/tip');

/** The tip as the node itself tells it, network or not. */
async function tipInside(node: NodeName): Promise<TipInfo> {
  return project.getInside<TipInfo>(await project.containerOf(node), '/v1/tip');
}

async function blockIdAt(node: NodeName, height: string): Promise<string> {
  return (await project.get<BlockSummary>(node, `/v1/blocks/${height}`)).id;
}

/** Signs `count` transfers between development accounts and hands them to `node`; their ids. */
async function submitTransfers(node: NodeName, fromAccount: number, count: number): Promise<string[]> {
  const sender = devAccount(fromAccount);
  const recipient = devAccount(fromAccount + 1);
  const { network } = await project.get<NodeStatus>(node, '/v1/status');
  const account = await project.get<AccountInfo>(node, `/v1/accounts/${formatAddress(sender.address)}`);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const tx = signTx(
      {
        chainId: network.chainId as ChainId,
        nonce: BigInt(account.pendingNonce) + BigInt(i),
        to: recipient.address,
        amount: 1_000n + BigInt(i),
        fee: BigInt(network.minFee) * 2n,
        memo: new Uint8Array(),
      },
      sender.secretKey,
    );
    const result = await project.submit(node, tx.bytes);
    ids.push(result.id);
  }
  return ids;
}

/** Resolves when `node` says of every transaction that it is final. */
async function allFinal(node: NodeName, ids: readonly string[], deadlineMs: number): Promise<void> {
  let waiting = [...ids];
  await eventually(
    `all transactions final on ${node}`,
    async () => {
      const states = await Promise.all(
        waiting.map((id) => project.get<TransactionStatus>(node, `/v1/transactions/${id}`).catch(() => undefined)),
      );
      waiting = waiting.filter((_, i) => states[i]?.state !== 'final');
      return waiting.length === 0;
    },
    deadlineMs,
  );
}

/** Resolves with a final block above `height` that all the nodes have. */
async function commonFinalAbove(nodes: readonly NodeName[], height: bigint, deadlineMs: number): Promise<BlockRef> {
  return eventually(
    `one final block above ${height} on ${nodes.join(', ')}`,
    async () => {
      const tips = await Promise.all(nodes.map(tipOf));
      const lowest = tips.map((tip) => tip.final).reduce((a, b) => (BigInt(b.height) < BigInt(a.height) ? b : a));
      if (BigInt(lowest.height) <= height) return undefined;
      const ids = await Promise.all(nodes.map((node) => blockIdAt(node, lowest.height)));
      return ids.every((id) => id === lowest.id) ? lowest : undefined;
    },
    deadlineMs,
  );
}

beforeAll(async () => {
  project = await ComposeProject.create(process.env.DOCKER_TEST_PROJECT ?? `grapevine-test-${process.pid}`);
  try {
    await project.compose('up', '--wait');
  } catch (error) {
    await project.printLogs();
    throw error;
  }
});

beforeEach(({ onTestFailed }) => {
  onTestFailed(() => project.printLogs());
});

afterAll(async () => {
  await project.remove();
});

describe('docker compose', () => {
  it('up --wait: five healthy nodes in one mesh, each API published on loopback', async () => {
    for (const node of NODES) {
      const { State, HostConfig } = await project.inspect(await project.containerOf(node));
      expect(State.Health?.Status).toBe('healthy');
      const bindings = Object.values(HostConfig.PortBindings).flat();
      expect(bindings.map((binding) => binding.HostIp)).toEqual(['127.0.0.1']);
      const status = await project.get<NodeStatus>(node, '/v1/status');
      expect(status).toMatchObject({ ready: true, missing: [] });
      expect(status.peers).toBeGreaterThanOrEqual(1);
      expect(status.voting.elector).toBe(true);
    }
  });

  it('runs without root, without write access to its image, within limits', async () => {
    for (const node of NODES) {
      const container = await project.containerOf(node);
      const { Config, HostConfig } = await project.inspect(container);
      expect(Config.User).toBe('node');
      expect(Config.StopSignal).toBe('SIGTERM');
      expect(Config.StopTimeout).toBe(GRACE_MS / 1000);
      expect(HostConfig.ReadonlyRootfs).toBe(true);
      expect(HostConfig.Memory).toBe(512 * MEBIBYTE);
      expect(HostConfig.PidsLimit).toBe(128);
      expect(HostConfig.CapDrop).toEqual(['ALL']);
      expect(HostConfig.SecurityOpt).toContain('no-new-privileges:true');
      expect(await project.execute(container, 'id', '-u')).toBe('1000');
      await expect(project.execute(container, 'touch', '/app/written')).rejects.toThrow(/Read-only file system/);
    }
  });

  it('100 transactions through two nodes are mined and final on all five', async () => {
    const [first, second] = await Promise.all([submitTransfers('node1', 0, 50), submitTransfers('node2', 1, 50)]);
    const ids = [...first, ...second];
    expect(new Set(ids).size).toBe(100);
    await Promise.all(NODES.map((node) => allFinal(node, ids, 90_000)));
  });

  it('a killed node is missed by nobody, and is back at the tip when it is started again', async () => {
    const before = await tipOf('node3');
    await project.compose('kill', 'node3');
    const others = NODES.filter((node) => node !== 'node3');
    const missed = await commonFinalAbove(others, BigInt(before.tip.height), 60_000);
    await project.compose('start', 'node3');
    await eventually(
      'node3 has the block it missed, and is within a block of the tip',
      async () => {
        const [restarted, other] = await Promise.all([tipOf('node3'), tipOf('node1')]);
        if (BigInt(restarted.tip.height) + 1n < BigInt(other.tip.height)) return undefined;
        return (await blockIdAt('node3', missed.height)) === missed.id;
      },
      120_000,
    );
    expect(await blockIdAt('node3', before.final.height)).toBe(before.final.id);
    await commonFinalAbove(NODES, BigInt(missed.height), 60_000);
  });

  it('without two of five, agreement stalls while both sides mine on; reconnected, they heal to one chain', async () => {
    const apart: readonly NodeName[] = ['node4', 'node5'];
    await Promise.all(apart.map((node) => project.disconnect(node)));

    const stalled = await eventually(
      'node1 says that agreement is stalled',
      async () => {
        const tip = await tipOf('node1');
        return tip.stalled ? tip : undefined;
      },
      120_000,
    );
    const alone = await tipInside('node4');
    const grown = await eventually(
      'the chain of the three goes on',
      async () => {
        const tip = await tipOf('node1');
        return BigInt(tip.tip.height) >= BigInt(stalled.tip.height) + 3n ? tip : undefined;
      },
      120_000,
    );
    expect(grown.stalled).toBe(true);
    expect(grown.agreed).toEqual(stalled.agreed);
    expect(grown.final).toEqual(stalled.final);
    const grownAlone = await eventually(
      'the chain of the one goes on',
      async () => {
        const tip = await tipInside('node4');
        return BigInt(tip.tip.height) > BigInt(alone.tip.height) ? tip : undefined;
      },
      180_000,
    );
    expect(BigInt(grownAlone.final.height)).toBeLessThanOrEqual(BigInt(grown.agreed.height));

    await Promise.all(apart.map((node) => project.reconnect(node)));
    const highest = [grown, grownAlone].map((tip) => BigInt(tip.tip.height)).reduce((a, b) => (a > b ? a : b));
    await commonFinalAbove(NODES, highest, 180_000);
    for (const node of NODES) {
      // What was final before and during the split is final now.
      expect(await blockIdAt(node, grown.final.height)).toBe(grown.final.id);
      expect((await project.get<NodeStatus>(node, '/v1/status')).internalErrors).toBe(0);
      // While it was cut off it was not ready; the engine looks every three seconds.
      await eventually(
        `${node} is healthy again`,
        async () => {
          const { State } = await project.inspect(await project.containerOf(node));
          return State.Health?.Status === 'healthy';
        },
        120_000,
      );
    }
  });

  it('--scale observer=3 adds nodes that follow, but neither mine nor vote', async () => {
    const before = await Promise.all(NODES.map((node) => project.containerOf(node)));
    await project.compose('up', '--wait', '--scale', `observer=${OBSERVERS}`);
    expect(await Promise.all(NODES.map((node) => project.containerOf(node)))).toEqual(before);

    const observers = await project.containersOf('observer');
    expect(observers).toHaveLength(OBSERVERS);
    const { final } = await tipOf('node1');
    const peerIds = new Set<string>();
    for (const observer of observers) {
      const { HostConfig, State } = await project.inspect(observer);
      expect(State.Health?.Status).toBe('healthy');
      expect(HostConfig.PortBindings).toEqual({});
      expect(HostConfig.ReadonlyRootfs).toBe(true);
      await eventually(
        'the observer has the final block',
        async () => {
          const block = await project.getInside<BlockSummary>(observer, `/v1/blocks/${final.height}`);
          return block.id === final.id;
        },
        120_000,
      );
      const status = await project.getInside<NodeStatus>(observer, '/v1/status');
      expect(status.mining).toMatchObject({ mode: 'off', blocks: 0 });
      expect(status.voting.elector).toBe(false);
      peerIds.add(status.peerId);
    }
    expect(peerIds.size).toBe(OBSERVERS);
  });

  it('stops within the grace period, with status 0, and goes on from the same chain', async () => {
    const { final } = await tipOf('node1');
    const containers = await Promise.all([...NODES, 'observer'].map((service) => project.containersOf(service)));
    await project.compose('stop');
    for (const container of containers.flat()) {
      const { State } = await project.inspect(container);
      // Who is not gone after the grace period is killed, and has status 137.
      expect(State).toMatchObject({ Status: 'exited', ExitCode: 0, OOMKilled: false });
    }
    await project.compose('up', '--wait', '--scale', `observer=${OBSERVERS}`);
    expect(await blockIdAt('node1', final.height)).toBe(final.id);
    await commonFinalAbove(NODES, BigInt(final.height), 60_000);
  });

  it('down -v leaves nothing behind', async () => {
    const observers = await Promise.all((await project.containersOf('observer')).map((id) => project.inspect(id)));
    const anonymous = observers.flatMap(({ Mounts }) => Mounts.flatMap((mount) => mount.Name ?? []));
    expect(anonymous).toHaveLength(OBSERVERS);
    await project.compose('down', '--volumes');
    expect(await project.leftovers(anonymous)).toEqual([]);
  });
});

/** `grapevine devnet`, as `npm start` runs it. The tests share a directory and build on each other. */
import { spawn } from 'node:child_process';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { TOPIC_KINDS } from '../../node/ports.ts';
import { DEV_MNEMONIC, DEV_WARNING } from '../../scripts/dev-accounts.ts';
import { eventually } from '../eventually.ts';
import { withoutGrapevine } from '../run-cli.ts';
import {
  clientOf,
  closeServer,
  commandLine,
  isAlive,
  listen,
  nodePids,
  type Running,
  Workbench,
} from './process-support.ts';

const bench = new Workbench();
let dir: string;
let base: number;
/** A block that was final in the first run. */
let finalBlock: { readonly height: string; readonly id: string };
let chainId: string;

beforeAll(async () => {
  dir = await bench.directory();
  base = await bench.basePort();
});
afterEach(() => bench.endAll()); // what a failed test has left would be in the way of the next
afterAll(() => bench.clean());

function devnet(...args: string[]): Running {
  return bench.start(['devnet', '--data-dir', dir, '--base-port', String(base), '--block-time', '0.5', ...args]);
}

const nodeLines = (text: string): readonly RegExpExecArray[] => [
  ...text.matchAll(/^(node\d+) {2}(http:\/\/127\.0\.0\.1:\d+) {2}(12D3KooW\w+)$/gm),
];

/** Neither a process nor a lock is left. */
async function expectNothingLeft(): Promise<void> {
  const pids = await nodePids(dir);
  expect(pids.length).toBeGreaterThan(0);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(await readdir(dir)).not.toContain('devnet.lock');
}

async function genesisText(): Promise<string> {
  return readFile(join(dir, 'genesis.json'), 'utf8');
}

describe('a devnet', () => {
  it('of five nodes says what it does, becomes ready, carries a load, and reports when its time is up', async () => {
    const inUse = await listen(base + 1);
    if (inUse === undefined) throw new Error('the port should be free');
    onTestFinished(() => closeServer(inUse));
    const running = devnet('--json', '--duration', '8', '--load', '20');
    const [, readyMs] = await running.says(/^ready in (\d+) ms$/m, 60_000);
    // Said on standard error: with --json, standard output is for the report alone.
    expect(running.stdout).toBe('');
    expect(running.stderr).toContain(DEV_MNEMONIC);
    expect(running.stderr).toContain(`WARNING: ${DEV_WARNING}`);
    // None that another node is to have: the others keep theirs.
    expect(running.stderr.match(/is in use/g)).toHaveLength(1);
    expect(running.stderr).toContain(`port ${base + 1} is in use: the API of node1 takes ${base + 6}`);
    const lines = nodeLines(running.stderr);
    expect(lines.map(([, name]) => name).sort()).toEqual(['node1', 'node2', 'node3', 'node4', 'node5']);
    expect(new Set(lines.map(([, , , peer]) => peer)).size).toBe(5);

    const client = clientOf(lines.find(([, name]) => name === 'node1')![2]!);
    const status = await client.status();
    expect(status).toMatchObject({ ready: true, missing: [], peers: 4 });
    chainId = status.network.chainId;

    const second = await bench.run(['devnet', '--data-dir', dir, '--base-port', String(base)]);
    expect(second.status).toBe(2);
    expect(second.stderr).toContain(`a devnet runs in ${dir} already (process ${running.pid})`);

    finalBlock = await eventually('something final', async () => {
      const { final } = await client.tip();
      return BigInt(final.height) >= 2n ? final : undefined;
    });
    const { status: exit } = await running.ends(90_000);
    expect(running.stderr).toMatch(/^up \d+ s {2}nodes 5\/5 {2}height /m); // plain lines when piped
    const output = running.stdout.trimEnd().split('\n');
    expect(output).toHaveLength(1);
    const report = JSON.parse(output[0]!);
    // With the whole report: the differences are not in what reporters keep of a failed test.
    expect({ ...report, exit }, output[0]).toMatchObject({
      nodes: 5,
      readyMs: Number(readyMs),
      rejected: 0,
      sameTip: true,
      agreement: 'reached',
      blocksDropped: 0,
      errors: 0,
      failures: [],
      exit: 0,
    });
    expect(report.agreed).toBeGreaterThanOrEqual(0.9 * report.submitted);
    expect(report.submitted).toBeGreaterThan(0);
    // 20/s for 8 s, less what a busy machine delays; nodes that are short of processor time refuse some.
    expect(report.submitted + report.heldBack).toBeGreaterThanOrEqual(120);
    expect(report.mined).toBe(report.submitted);
    expect(report.height).toBeGreaterThan(0);
    // Two forks in a row hold agreement up for five heights: the next link skips them.
    expect(report.finalHeight).toBeGreaterThanOrEqual(report.height - 8);
    expect(report.finalHeight).toBeGreaterThan(0);
    expect(report.agreedHeight).toBeGreaterThanOrEqual(report.finalHeight);
    expect(report.propagationMs.p50).toBeGreaterThan(0);
    expect(report.propagationMs.p99).toBeGreaterThanOrEqual(report.propagationMs.p50);
    expect(report.propagationMs.max).toBeGreaterThanOrEqual(report.propagationMs.p99);
    expect(report.copiesPerMessage).toBeGreaterThanOrEqual(1);
    await expectNothingLeft();
  });

  it('of five nodes is a closed net: each comes to have two mesh peers for each topic, which have it too', async () => {
    const running = devnet();
    await running.says(/^ready in \d+ ms$/m, 60_000);
    const clients = nodeLines(running.stdout).map(([, , url]) => clientOf(url!));
    await eventually('a ring for each topic', async () => {
      const lists = await Promise.all(clients.map((client) => client.peers()));
      return TOPIC_KINDS.every((kind) => {
        const meshes = new Map(
          lists.map(({ self, peers }) => [self, peers.flatMap(({ id, mesh }) => (mesh.includes(kind) ? [id] : []))]),
        );
        return [...meshes].every(
          ([self, mesh]) => mesh.length === 2 && mesh.every((peer) => meshes.get(peer)?.includes(self)),
        );
      });
    });
    expect(clients).toHaveLength(5);
    expect(await running.end('SIGINT')).toEqual({ status: 0, signal: null });
  });

  it('started again continues the same chain, and when it is killed its nodes stop by themselves', async () => {
    const running = devnet();
    await running.says(/^ready in \d+ ms$/m, 60_000);
    expect(running.stdout).toMatch(/^continuing network of 5 nodes, a block every 0.5 s/m);
    for (const [, name, url] of nodeLines(running.stdout)) {
      const client = clientOf(url!);
      expect((await client.status()).network.chainId, name).toBe(chainId);
      expect((await client.block(finalBlock.height)).id, name).toBe(finalBlock.id);
      const { tip, agreed, final, offenders } = await client.tip();
      expect(BigInt(tip.height), name).toBeGreaterThanOrEqual(BigInt(finalBlock.height));
      expect(BigInt(agreed.height), name).toBeGreaterThanOrEqual(BigInt(finalBlock.height));
      expect(BigInt(final.height), name).toBeGreaterThanOrEqual(BigInt(finalBlock.height));
      expect(offenders, name).toEqual([]);
    }
    expect(await running.end('SIGKILL')).toEqual({ status: null, signal: 'SIGKILL' });
    await eventually('end of all nodes', async () => !(await nodePids(dir)).some(isAlive), 60_000);
    const log = await readFile(join(dir, 'node3.log'), 'utf8');
    expect(log).toContain('the parent process is gone');
    expect(log.trimEnd().split('\n').at(-1)).toContain('"msg":"stopped"');
  });

  it('ends, and its nodes with it, when the shell is gone that npm started it in', async () => {
    const args = commandLine(['devnet', '--data-dir', dir, '--base-port', String(base)]);
    const shell = spawn('sh', ['-c', '"$@"; exit', 'sh', ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...withoutGrapevine(process.env), npm_lifecycle_script: 'node tools/grapevine.js devnet' },
    });
    let said = '';
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await eventually('ready', () => /^ready in \d+ ms$/m.test(said));
    const pids = await nodePids(dir);
    expect(pids.filter(isAlive)).toHaveLength(5);
    shell.kill('SIGTERM');
    await eventually('end of all nodes', () => !pids.some(isAlive));
    await eventually('the lock is given up', async () => !(await readdir(dir)).includes('devnet.lock'));
  });

  it('refuses another number of nodes or another block time than its directory has, naming --fresh', async () => {
    const before = await genesisText();
    for (const [args, is] of [
      [['--nodes', '3'], '--nodes 5, not 3'],
      [['--block-time', '7'], '--block-time 0.5, not 7'],
    ] as const) {
      const { status, stderr } = await bench.run(['devnet', '--data-dir', dir, '--base-port', String(base), ...args]);
      expect(status).toBe(2);
      expect(stderr).toContain(is);
      expect(stderr).toContain('--fresh');
    }
    expect(await genesisText()).toBe(before);
    expect(await readdir(dir)).not.toContain('devnet.lock'); // the killed one's was nobody's
  });

  it('refuses a flag that its nodes refuse, with their words', async () => {
    const args = ['--nodes', '2', '--fresh', '--json', '--node-arg=--bogus'];
    const { status, stdout, stderr } = await bench.run([
      'devnet',
      '--data-dir',
      await bench.directory(),
      '--base-port',
      String(base),
      ...args,
    ]);
    expect(stderr).toMatch(
      /^error: node[12] ended with exit status 2 before it was ready: unknown option '--bogus'; see /m,
    );
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it('interrupted while it starts stops at once, and with --fresh it has begun another chain', async () => {
    const before = await genesisText();
    const running = devnet('--fresh', '--nodes', '3');
    await running.says(/^WARNING: /m);
    await eventually('the last node is started', async () => (await readdir(dir)).includes('node3.log'));
    expect(await running.end('SIGINT')).toEqual({ status: 0, signal: null });
    expect(running.stdout).not.toContain('ready in');
    expect(running.stdout).toMatch(/^new network of 3 nodes/m);
    expect(await genesisText()).not.toBe(before);
    expect((await nodePids(dir)).filter(isAlive)).toEqual([]);
    expect(await readdir(dir)).not.toContain('devnet.lock');
  });

  it('killed while its nodes start leaves none of them in the way of the next, which Ctrl-C ends with status 0', async () => {
    const killed = devnet('--fresh', '--nodes', '3');
    await killed.says(/^WARNING: /m);
    await eventually('the last node is started', async () => (await readdir(dir)).includes('node3.log'));
    await killed.end('SIGKILL');
    const running = devnet();
    await running.says(/^ready in \d+ ms$/m, 60_000); // a node left over would hold its store and its ports
    expect(running.stdout).not.toContain('is in use');
    // npm, where its shell is bash, passes on the signal that the terminal has sent to all.
    running.child.kill('SIGINT');
    expect(await running.end('SIGINT')).toEqual({ status: 0, signal: null });
    expect(running.stderr).toBe('');
    await expectNothingLeft();
    for (const number of [1, 2, 3]) {
      expect(await readFile(join(dir, `node${number}.log`), 'utf8')).toContain('"why":"SIGTERM"');
    }
  });

  it('ended by a signal reports what there is, and a load that goes on does not hold it up', async () => {
    const running = devnet('--fresh', '--nodes', '2', '--load', '5', '--json');
    await running.says(/^up \d+ s {2}nodes 2\/2 {2}height [1-9]/m, 60_000);
    expect(running.stdout).toBe('');
    expect(await running.end('SIGTERM', 30_000)).toEqual({ status: 0, signal: null });
    const report = JSON.parse(running.stdout);
    expect(report).toMatchObject({ nodes: 2, sameTip: true, errors: 0, failures: [] });
    expect(report.submitted).toBeGreaterThan(0);
    await expectNothingLeft();
  });

  it('whose nodes do not vote says so, and is asked for no agreement', async () => {
    const running = devnet('--fresh', '--nodes', '2', '--node-arg=--vote=false', '--duration', '3', '--json');
    expect(await running.ends(90_000)).toMatchObject({ status: 0 });
    expect(JSON.parse(running.stdout)).toMatchObject({
      sameTip: true,
      agreedHeight: 0,
      agreement: 'off',
      failures: [],
    });
  });

  it('whose node cannot come back after a kill ends in order, with a report that counts it and status 1', async () => {
    const running = devnet('--fresh', '--nodes', '2', '--kill-every', '2', '--duration', '60', '--json');
    await running.says(/^ready in /m, 60_000);
    await rm(join(dir, 'genesis.json'));
    expect(await running.ends(60_000)).toMatchObject({ status: 1 });
    expect(JSON.parse(running.stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({
      errors: 1,
      kills: 1,
      sameTip: false,
    });
    expect(running.stderr).toMatch(/^failed: the nodes disagree: node[12] does not answer\nfailed: 1 error; see /m);
    expect(running.stderr).toMatch(/^ending: node[12] ended with exit status 2/m);
    await expectNothingLeft();
  });
});

/** What a user does on the command line, against a real devnet. The tests build on each other. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAddress } from '../../crypto/address.ts';
import { DEV_MNEMONIC, devAccount } from '../../scripts/dev-accounts.ts';
import { startNode, untilStarted } from './node-support.ts';
import { type Run, type Running, Workbench } from './process-support.ts';

const bench = new Workbench();
let directory: string;
let base: number;
let devnet: Running;
/** APIs of the devnet's two nodes. */
let first: string;
let second: string;
/** Made by keygen, in a keystore. */
let alice: { readonly address: string; readonly keystore: string; readonly passwordFile: string };

const COIN = 100_000_000n;

beforeAll(async () => {
  directory = await bench.directory();
  base = await bench.basePort();
  devnet = bench.start([
    ...['devnet', '--nodes', '2', '--block-time', '0.5', '--data-dir', join(directory, 'devnet')],
    ...['--base-port', String(base)],
  ]);
  first = `http://127.0.0.1:${base + 1}`;
  second = `http://127.0.0.1:${base + 2}`;
  await devnet.says(/^ready in \d+ ms$/m, 60_000);
});
afterAll(async () => {
  await devnet?.end('SIGINT');
  await bench.clean();
});

function grapevine(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return bench.run(args, { GRAPEVINE_API: first, ...env });
}

/** Runs the command with `--json`; expects it to be done and gives its one document. */
async function json(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const run = await grapevine([...args, '--json'], env);
  expect(run.status, run.stderr).toBe(0);
  return document(run);
}

function document(run: Run) {
  const lines = run.stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!);
}

describe('a user', () => {
  it('sees what there is: status, and the ten accounts of the published words', async () => {
    const status = await json(['status']);
    expect(status).toMatchObject({ name: 'node1', ready: true, peers: 1, internalErrors: 0 });
    expect((await grapevine(['status'])).stdout).toMatch(/^chain id +[0-9a-f]{64}$/m);
    const { accounts } = await json(['wallet', 'balance']);
    expect(accounts).toHaveLength(10);
    expect(accounts[3]).toMatchObject({
      address: formatAddress(devAccount(3).address),
      balance: (10_000n * COIN).toString(),
      nonce: '0',
    });
  });

  it('makes a key, is paid, and waits until that is final on another node', async () => {
    const keystore = join(directory, 'alice.json');
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, 'correct horse\n');
    const { address } = await json(['keygen', '--raw', '-o', keystore, '--password-file', passwordFile]);
    alice = { address, keystore, passwordFile };
    if (process.platform !== 'win32') expect((await stat(keystore)).mode & 0o777).toBe(0o600);

    const sent = await json(['send-tx', '--to', address, '--amount', '2.5', '--memo', 'lunch', '--wait', 'final']);
    expect(sent).toMatchObject({
      state: 'final',
      from: formatAddress(devAccount(0).address),
      to: address,
      amount: '250000000',
      nonce: '0',
    });
    const { accounts } = await json(['wallet', 'balance', '--keystore', keystore, '--api', second]);
    expect(accounts).toEqual([
      {
        address,
        balance: '250000000',
        nonce: '0',
        pendingNonce: '0',
        waiting: { transactions: 0, parked: 0, amount: '0' },
      },
    ]);
    const history = await json(['wallet', 'history', address, '--api', second]);
    expect(history.entries).toHaveLength(1);
    expect(history.entries[0]).toMatchObject({
      id: sent.id,
      direction: 'in',
      memoText: 'lunch',
      block: { height: sent.block.height },
    });
    expect((await grapevine(['wallet', 'history', address])).stdout).toMatch(/ in +2\.5 .* lunch$/m);
  });

  it('pays with that key, and watches it happen', async () => {
    const to = formatAddress(devAccount(1).address);
    const watching = bench.start(['watch', '--types', 'tx', '--count', '1', '--json', '--api', second]);
    const blocks = bench.start(['watch', '--types', 'block,final', '--count', '3', '--api', first]);
    await Promise.all([watching.says(/^connected to node2 /m), blocks.says(/^connected to node1 /m)]);
    const run = await grapevine([
      ...['send-tx', '--to', to, '--amount', '1', '--wait', 'mined'],
      ...['--keystore', alice.keystore, '--password-file', alice.passwordFile],
    ]);
    expect(run.status, run.stderr).toBe(0);
    const [, id] = /^([0-9a-f]{64}) {2}(?:mined|agreed|final) at height \d+$/m.exec(run.stdout)!;
    expect(await watching.ends()).toEqual({ status: 0, signal: null });
    expect(JSON.parse(watching.stdout)).toMatchObject({ type: 'tx', id, state: 'pending', from: alice.address, to });
    expect(await blocks.ends()).toEqual({ status: 0, signal: null });
    expect(blocks.stdout.trimEnd().split('\n')).toHaveLength(3);
    expect(blocks.stdout).toMatch(/^(block|final) +\d+ /);
  });

  it('sends load from the words, and is told what became of it', async () => {
    const words = { GRAPEVINE_MNEMONIC: DEV_MNEMONIC };
    const load = await json(['send-tx', '--count', '20', '--rate', '20', '--from-mnemonic', '--wait', 'final'], words);
    expect(load).toEqual({ submitted: 20, accepted: 20, rejected: {}, final: 20, dropped: {}, open: 0 });
  });

  it('is refused with exit status 1 and the reason code', async () => {
    const to = formatAddress(devAccount(1).address);
    const key = ['--keystore', alice.keystore, '--password-file', alice.passwordFile];
    const poor = await grapevine(['send-tx', '--to', to, '--amount', '1000', ...key]);
    expect(poor.status).toBe(1);
    expect(poor.stdout).toBe('');
    expect(poor.stderr).toMatch(/^refused: tx\/balance-low: /);
    const used = await grapevine(['send-tx', '--to', to, '--amount', '1', '--nonce', '0', '--json']);
    expect(used.status).toBe(1);
    expect(document(used)).toMatchObject({ error: { code: 'tx/nonce-used' } });
    const mine = await grapevine(['mine', '--json']); // the devnet's nodes mine by themselves
    expect(mine.status).toBe(1);
    expect(document(mine)).toMatchObject({ error: { code: 'mine-refused' } });
    const silent = await grapevine(['status', '--json', '--api', `http://127.0.0.1:${base + 6}`]);
    expect(silent.status).toBe(1);
    expect(document(silent)).toMatchObject({ error: { code: 'client/no-answer', status: 0 } });
  });

  it.each([
    [['send-tx', '--amount', '1'], '--to is missing'],
    [['send-tx', '--to', 'gv1pnonsense', '--amount', '1'], "character 'o' at position 6"],
    [['send-tx', '--to', 'x', '--amount', '1.123456789'], '--amount'],
    [['wallet', 'balance', 'gv1pnonsense'], "gv1pnonsense: character 'o' at position 6"],
    [['wallet', 'balance', '--keystore', 'no-such-file.json'], 'no-such-file.json'],
    [['watch', '--types', 'tea'], "'tea' is none of tx, block, reorg, agreed, final"],
    [['mine', '--blocks', '0'], '--blocks'],
    [['brew'], 'brew'],
    [['node', '--api-port', 'x'], 'api-port'],
    [['devnet', '--nodes', '0'], '--nodes'],
  ])('used wrongly, %j ends with exit status 2 and says what is wrong', async (args, says) => {
    const { status, stdout, stderr } = await grapevine(args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(says);
  });
});

describe('a network of one', () => {
  it('is made with make-genesis, run with node, and mined on demand', async () => {
    const genesis = join(directory, 'genesis.json');
    const made = await json(['make-genesis', '--voters', '1', '--initial-hashes', '1000', '-o', genesis]);
    expect(made).toMatchObject({ file: genesis, name: 'devnet' });
    const again = await grapevine(['make-genesis', '--voters', '1', '-o', genesis]);
    expect(again.status).toBe(2);
    expect(again.stderr).toContain('never overwritten');
    expect(JSON.parse(await readFile(genesis, 'utf8')).voters).toEqual(made.voters);

    const dataDir = join(directory, 'alone');
    const node = startNode(bench, {
      index: 3,
      base,
      genesis,
      dataDir,
      flags: ['--mine=on-demand', '--hash-budget=0.5'],
    });
    await untilStarted(node);
    const api = ['--api', node.url];
    const status = await json(['status', ...api]);
    expect(status).toMatchObject({ tip: { height: '0' }, mining: { mode: 'on-demand' }, voting: { elector: false } });
    expect(status.network.chainId).toBe(made.chainId);
    const { blocks } = await json(['mine', '--blocks', '3', ...api]);
    expect(blocks.map(({ height }: { height: string }) => height)).toEqual(['1', '2', '3']);
    expect((await grapevine(['mine', ...api])).stdout).toMatch(/^4 {2}[0-9a-f]{64}\n$/);
    const sent = await json(['send-tx', '--to', alice.address, '--amount', '7', ...api]);
    expect(sent).toMatchObject({ state: 'pending', parked: false });
    await json(['mine', ...api]);
    const { accounts } = await json(['wallet', 'balance', alice.address, ...api]);
    expect(accounts[0].balance).toBe((7n * COIN).toString());
    expect(await node.running.end('SIGTERM')).toEqual({ status: 0, signal: null });
  });
});

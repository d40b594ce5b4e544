import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { certificateDocument } from '../../../chain/certificate-document.ts';
import { decodeTx } from '../../../chain/codec.ts';
import { parseGenesis } from '../../../chain/genesis.ts';
import type { ChainEntry } from '../../../chain/types.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import { type ApiServer, createApiServer } from '../../../node/api/server.ts';
import { DEV_MNEMONIC, devAccount, devVoter } from '../../../scripts/dev-accounts.ts';
import { eventually } from '../../eventually.ts';
import { silentLogger } from '../../loggers.ts';
import { type CliRun, runCli, spawnCli } from '../../run-cli.ts';
import { checkpointOf } from '../../tree-fixtures.ts';
import { ADDRESS, BLOCK_ID, FakeBackend, OTHER, TX_ID } from '../api/fake-backend.ts';
import { certifiedGenesis, headersOf, minedChain, signedLink, VOTERS } from '../chain/certified-chain.ts';

const COMMANDS = [
  'devnet',
  'node',
  'status',
  'send-tx',
  'wallet',
  'watch',
  'mine',
  'keygen',
  'make-genesis',
  'certificate',
  'verify-certificate',
  'vote-protection',
  'db',
  'sim',
];
/** Commands that only hold others. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  wallet: ['balance', 'history'],
  'vote-protection': ['export', 'import'],
  db: ['verify', 'repair', 'stats', 'export', 'import', 'prune'],
};

let backend: FakeBackend;
let server: ApiServer;
let api: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-cli-'));
  // One server for all tests; each begins with a new backend behind it.
  const proxy = new Proxy({} as FakeBackend, {
    get: (_target, key) => {
      const value = Reflect.get(backend, key);
      return typeof value === 'function' ? value.bind(backend) : value;
    },
  });
  backend = new FakeBackend();
  server = createApiServer({
    backend: proxy,
    clock: createSystemClock(),
    logger: silentLogger,
    metrics: async () => '',
    options: { host: '127.0.0.1', port: 0 },
  });
  api = `http://127.0.0.1:${(await server.start()).port}`;
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  backend = new FakeBackend();
});

const environment = (extra: Readonly<Record<string, string>> = {}) => ({ GRAPEVINE_API: api, ...extra });

const grapevine = (args: readonly string[], extra?: Readonly<Record<string, string>>): Promise<CliRun> =>
  runCli(args, { env: environment(extra) });

/** The one document on standard output. */
function document(run: CliRun): Record<string, unknown> {
  const lines = run.stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!);
}

/** An address where nothing listens any more. */
async function deadAddress(): Promise<string> {
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function submitted() {
  const hex = backend.calls.findLast(([name]) => name === 'submitTransaction')?.[1] as string;
  const decoded = decodeTx(Buffer.from(hex, 'hex'));
  if (!decoded.ok) throw new Error(decoded.detail);
  return decoded.value;
}

describe('help and usage', () => {
  it.each([
    [['--bootstrap', '/ip4/300.0.0.1/tcp/7501'], '--bootstrap: "/ip4/300.0.0.1/tcp/7501" is not good'],
    [['--listen', '127.0.0.1:7501'], '--listen: "127.0.0.1:7501" is not good'],
    [['--announce', '/ip4/1.2.3.4/tcp/99999'], '--announce: "/ip4/1.2.3.4/tcp/99999" is not good'],
    [['--data-dir', ''], '--data-dir: "" is not good for "dataDir": expected a path'],
  ])('node %j: names the fault and exits with 2', async (args, message) => {
    const run = await grapevine(['node', '--print-config', ...args]);
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toContain(message);
    expect(run.stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('ends with 2, names the path and shows no stack where a file or a directory of the node is not usable', async () => {
    const genesis = join(folder, 'paths-genesis.json');
    const keystore = join(folder, 'paths-key.json');
    expect(await grapevine(['make-genesis', '--voters', '1', '-o', genesis])).toMatchObject({ status: 0 });
    expect(await grapevine(['keygen', '--raw', '-o', keystore], { GRAPEVINE_PASSWORD: 'secret' })).toMatchObject({
      status: 0,
    });
    const node = ['node', '--genesis', genesis, '--data-dir', join(folder, 'paths'), '--api-port', '0'];
    const voter = [...node, '--voter-key-file', keystore, '--voter-password-file'];
    const noPassword = await grapevine([...voter, join(folder, 'missing')]);
    expect(noPassword).toMatchObject({ status: 2, stdout: '' });
    expect(noPassword.stderr).toMatch(/^error: cannot read the password file: ENOENT: .*missing'\n$/);
    await writeFile(join(folder, 'empty-password'), '\n');
    const emptyPassword = await grapevine([...voter, join(folder, 'empty-password')]);
    expect(emptyPassword).toMatchObject({ status: 2, stderr: 'error: the password is empty\n' });
    const noGenesis = await grapevine(['node', '--data-dir', join(folder, 'paths')]);
    expect(noGenesis).toMatchObject({ status: 2, stdout: '' });
    expect(noGenesis.stderr).toMatch(
      /genesis\.json: ENOENT: .*--genesis names another file, and `grapevine make-genesis`/,
    );
    const noDirectory = await grapevine([
      'node',
      '--genesis',
      genesis,
      '--data-dir',
      join(import.meta.filename, 'x'),
      '--dev-index',
      '0',
    ]);
    expect(noDirectory.status).toBe(2);
    expect(noDirectory.stdout).toContain('ENOTDIR: not a directory');
    expect(noDirectory.stdout).not.toContain('    at ');
  });

  it('lists every command, and each has help with examples', async () => {
    const top = await grapevine(['--help']);
    expect(top.status).toBe(0);
    for (const command of COMMANDS) expect(top.stdout).toContain(`\n  ${command}`);
    const grouped = Object.entries(GROUPS).flatMap(([group, members]) => members.map((member) => `${group} ${member}`));
    const all = [...COMMANDS, ...grouped];
    const pages = await Promise.all(all.map((command) => grapevine([...command.split(' '), '--help'])));
    for (const [i, page] of pages.entries()) {
      expect(page.status, all[i]).toBe(0);
      expect(page.stdout, all[i]).toContain('Examples:');
      expect(page.stdout, all[i]).toContain(`grapevine ${all[i]}`);
      if (GROUPS[all[i]!] === undefined) expect(page.stdout, all[i]).toContain('--json');
    }
  });

  it('prints its version', async () => {
    expect(await grapevine(['--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it.each([
    [['nonsense'], 'unknown command'],
    [['status', '--nonsense'], 'unknown option'],
    [['send-tx', '--amount', '1'], '--to is missing'],
    [['send-tx', '--to', ADDRESS], '--amount is missing'],
    [['send-tx', '--to', ADDRESS, '--amount', '1e9'], 'not an amount'],
    [['send-tx', '--to', ADDRESS, '--amount', '0.123456789'], 'more than 8 decimals'],
    [['send-tx', '--to', 'gv1nonsense', '--amount', '1'], 'to: '],
    [['send-tx', '--to', ADDRESS, '--amount', '1', '--wait', 'forever'], 'Allowed choices'],
    [['send-tx', '--to', ADDRESS, '--amount', '1', '--from-mnemonic', 'test test'], 'mnemonic'],
    [['send-tx', '--count', '5', '--index', '1'], '--index does not go with --count'],
    [['send-tx', '--to', ADDRESS, '--amount', '1', '--keystore', '/nonexistent.json'], 'no keystore'],
    [['mine', '--blocks', '0'], 'from 1 to 1000'],
    [['watch', '--types', 'nonsense'], 'is none of'],
    [['status', '--api', 'localhost:7401'], 'not the URL'],
    [['make-genesis'], '--voters'],
    [['make-genesis', '--voters', 'gv1x'], '--voters'],
    [['make-genesis', '--voters', '1', '--name', 'other'], 'devnets'],
    [['make-genesis', '--voters', '1', '--alloc', ADDRESS], 'address=coins'],
    [['make-genesis', '--voters', '1', '--timestamp', 'soon'], 'milliseconds'],
    [['keygen', '-o', 'x.json'], 'no password'],
    [['devnet', '--data-dir', `${import.meta.filename}/below-a-file`, '--duration', '1'], 'ENOTDIR: not a directory'],
    [['vote-protection', 'import', '/nonexistent.json'], 'cannot read /nonexistent.json'],
    [['certificate', '05'], "'05' is not a height"],
    [['certificate', '18446744073709551616'], "'18446744073709551616' is not a height"],
    [['node', '--json', '--log-format', 'pretty'], 'cannot be used with'],
  ])('ends with 2 and says why: %j', async (args, why) => {
    const run = await grapevine(args);
    expect(run.stderr).toContain(why);
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(backend.calls.filter(([name]) => name === 'submitTransaction')).toEqual([]);
  });
});

describe('a node that refuses or is not there', () => {
  it('ends with 1 and the reason code', async () => {
    backend.submit = { kind: 'refused', reason: 'tx/balance-low', detail: 'balance 5, needs 10' };
    const run = await grapevine(['send-tx', '--to', OTHER, '--amount', '1']);
    expect(run).toMatchObject({ status: 1, stdout: '', stderr: 'refused: tx/balance-low: balance 5, needs 10\n' });
    const json = await grapevine(['send-tx', '--to', OTHER, '--amount', '1', '--json']);
    expect(json.status).toBe(1);
    expect(document(json)).toEqual({ error: { code: 'tx/balance-low', status: 422, detail: 'balance 5, needs 10' } });
  });

  it('ends with 1 when mining is refused', async () => {
    backend.mined = { kind: 'refused', detail: 'mode is off' };
    expect(await grapevine(['mine'])).toMatchObject({ status: 1, stderr: 'refused: mine-refused: mode is off\n' });
  });

  it('ends with 2, and asks no node, when an address is mistyped', async () => {
    const wallet = await grapevine(['wallet', 'balance', 'gv1nonsense']);
    expect(wallet).toMatchObject({ status: 2, stderr: expect.stringContaining('gv1nonsense: ') });
    expect(backend.calls).toEqual([]);
  });

  it('ends with 1 and says where it looked when no node answers', async () => {
    const url = await deadAddress();
    for (const args of [['status'], ['watch'], ['mine'], ['send-tx', '--to', OTHER, '--amount', '1']]) {
      const run = await grapevine([...args, '--api', url]);
      expect(run, args[0]).toMatchObject({
        status: 1,
        stdout: '',
        stderr: `error: no node answers at ${url}: ECONNREFUSED\n`,
      });
    }
  });

  it('ends with 1 when what it waits for does not come', async () => {
    backend.statuses = [{ id: TX_ID, state: 'pending', parked: false, confirmations: 0 }];
    const run = await grapevine(['send-tx', '--to', OTHER, '--amount', '1', '--wait', 'final', '--timeout', '0.1']);
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('is not final after 100 ms: pending');
  });
});

describe('send-tx', () => {
  it('sends from development account 0 on a devnet', async () => {
    const run = await grapevine(['send-tx', '--to', OTHER, '--amount', '1.5', '--memo', 'hi']);
    expect(run).toMatchObject({ status: 0, stdout: `${TX_ID}  pending\n` });
    expect(submitted()).toMatchObject({ from: devAccount(0).address, amount: 150_000_000n, fee: 1000n, nonce: 4n });
    expect(Buffer.from(submitted().memo).toString()).toBe('hi');
  });

  it('takes index, fee and nonce, waits, and prints one document', async () => {
    const args = ['--index', '3', '--fee', '0.5', '--nonce', '77', '--wait', '--json'];
    const run = await grapevine(['send-tx', '--to', OTHER, '--amount', '0.00000001', ...args]);
    expect(run.status).toBe(0);
    expect(document(run)).toEqual({
      id: TX_ID,
      state: 'mined',
      parked: false,
      from: formatAddress(devAccount(3).address),
      to: OTHER,
      amount: '1',
      fee: '50000000',
      nonce: '77',
      block: { height: '5', id: BLOCK_ID, index: 0 },
      confirmations: 2,
    });
    expect(submitted()).toMatchObject({ from: devAccount(3).address, fee: 50_000_000n, nonce: 77n, amount: 1n });
  });

  it('does not use the published keys on another network', async () => {
    Object.assign(backend.identity, { network: 'mainstreet' });
    const run = await grapevine(['send-tx', '--to', OTHER, '--amount', '1']);
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining("network 'mainstreet' is not a devnet") });
    const named = await grapevine(['send-tx', '--to', OTHER, '--amount', '1'], { GRAPEVINE_MNEMONIC: DEV_MNEMONIC });
    expect(named.status).toBe(0);
    expect(submitted().from).toBe(devAccount(0).address);
  });

  it('sends load from ten accounts and tells what became of it', async () => {
    let calls = 0;
    const submit = backend.submitTransaction.bind(backend);
    backend.submitTransaction = async (bytes) => {
      calls += 1;
      return calls === 5 ? { kind: 'refused', reason: 'tx/pool-full' } : submit(bytes);
    };
    const run = await grapevine(['send-tx', '--count', '20', '--rate', '500', '--from-mnemonic', '--json']);
    expect(document(run)).toEqual({
      submitted: 20,
      accepted: 19,
      rejected: { 'tx/pool-full': 1 },
      mined: 19,
      dropped: {},
      open: 0,
    });
    expect(run.status).toBe(1);
    const all = await grapevine(['send-tx', '--count', '10', '--rate', '500']);
    expect(all).toMatchObject({ status: 0, stdout: 'submitted 10, accepted 10, mined 10, open 0\n' });
  });
});

describe('reading commands', () => {
  it('shows status, as text and as one document', async () => {
    const text = await grapevine(['status']);
    expect(text.status).toBe(0);
    expect(text.stdout).toMatch(/^tip +6 /m);
    expect(document(await grapevine(['status', '--json']))).toEqual(await backend.status());
  });

  it('shows balances and histories', async () => {
    const all = document(await grapevine(['wallet', 'balance', '--json']));
    expect(all.accounts).toHaveLength(10);
    const one = await grapevine(['wallet', 'balance', ADDRESS]);
    expect(one.stdout).toContain('184467440737.09551615');
    const history = await grapevine(['wallet', 'history', ADDRESS, '--limit', '3', '--before', '9']);
    expect(history.stdout).toMatch(/5 +agreed +out +1\.5 /);
    expect(history.stdout).toContain('more: --before 5.0');
    expect(backend.calls).toContainEqual(['history', ADDRESS, 3, { height: 9n }]);
    expect(document(await grapevine(['wallet', 'history', '--index', '2', '--json']))).toMatchObject({
      address: formatAddress(devAccount(2).address),
    });
  });

  it('mines as many blocks as it is told, and prints height and id of the last', async () => {
    expect(await grapevine(['mine', '--blocks', '4'])).toMatchObject({ status: 0, stdout: `7  ${BLOCK_ID}\n` });
    expect(backend.calls).toEqual([['mine', 4]]);
  });

  it('watches, a document a line, as many as asked for', async () => {
    const child = spawnCli(['watch', '--types', 'final', '--count', '2', '--json'], { env: environment() });
    let stdout = '';
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await eventually('watching', () => backend.listeners.size === 1, 20_000);
    for (const height of ['1', '2', '3']) backend.emit({ type: 'final', id: BLOCK_ID, height });
    expect(await ended).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { type: 'final', id: BLOCK_ID, height: '1' },
      { type: 'final', id: BLOCK_ID, height: '2' },
    ]);
  });

  it('stops watching on SIGTERM, as on Ctrl-C, with 0', async () => {
    const child = spawnCli(['watch'], { env: environment() });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await eventually('watching', () => backend.listeners.size === 1, 20_000);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});

describe('keygen and make-genesis', () => {
  it('makes words, the key of given words, and raw keys', async () => {
    const fresh = document(await grapevine(['keygen', '--json']));
    expect(String(fresh.mnemonic).split(' ')).toHaveLength(12);
    const again = await grapevine(['keygen', '--json', '--from-mnemonic'], {
      GRAPEVINE_MNEMONIC: String(fresh.mnemonic),
    });
    expect(document(again)).toMatchObject({ address: fresh.address, secretKey: fresh.secretKey });
    expect(document(again).mnemonic).toBeUndefined();
    const raw = document(await grapevine(['keygen', '--json', '--raw']));
    expect(Object.keys(raw).sort()).toEqual(['address', 'publicKey', 'secretKey']);
    const dev = document(await grapevine(['keygen', '--json', '--from-mnemonic', DEV_MNEMONIC, '--index', '4']));
    expect(dev.address).toBe(formatAddress(devAccount(4).address));
  });

  it('encrypts into a file of mode 0600, never overwrites it, and send-tx can use it', async () => {
    const file = join(folder, 'alice.json');
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, 'correct horse\n');
    const made = await grapevine(['keygen', '-o', file, '--password-file', passwordFile, '--json']);
    const { address } = document(made);
    expect(made.status).toBe(0);
    expect(made.stdout).not.toContain('secretKey');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const twice = await grapevine(['keygen', '-o', file], { GRAPEVINE_PASSWORD: 'x' });
    expect(twice).toMatchObject({ status: 2, stderr: expect.stringContaining('never overwritten') });

    const send = ['send-tx', '--to', OTHER, '--amount', '1', '--keystore', file];
    const sent = await grapevine(send, { GRAPEVINE_PASSWORD: 'correct horse' });
    expect(sent.status).toBe(0);
    expect(formatAddress(submitted().from)).toBe(address);
    const wrong = await grapevine(send, { GRAPEVINE_PASSWORD: 'wrong' });
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('wrong password') });
    expect((await grapevine(['wallet', 'balance', '--keystore', file])).stdout).toContain(String(address));
  });

  it('makes a genesis that parses, on standard output or in a new file', async () => {
    const time = ['--timestamp', '2026-01-01T00:00:00Z'];
    const printed = await grapevine(['make-genesis', '--voters', '3', '--block-time', '1.5', ...time]);
    const devnet = parseGenesis(JSON.parse(printed.stdout));
    expect(devnet.electorate).toEqual(expect.arrayContaining([0, 1, 2].map((node) => devVoter(node).address)));
    expect(devnet.params.blockTimeMs).toBe(1500);
    expect(devnet.accounts.get(devAccount(9).address)?.balance).toBe(1_000_000_000_000n);
    expect(devnet.doc.timestamp).toBe('2026-01-01T00:00:00.000Z');

    const file = join(folder, 'genesis.json');
    const args = ['make-genesis', '--name', 'lab', '--voters', `${ADDRESS},${OTHER}`, '--alloc', `${ADDRESS}=1.5`];
    const more = [...args, '--alloc', `${OTHER}=2`, '--initial-hashes', '1000', '-o', file, '--json'];
    const written = await grapevine(more);
    const lab = parseGenesis(JSON.parse(await readFile(file, 'utf8')));
    expect(document(written)).toMatchObject({ file, name: 'lab', chainId: lab.chainId });
    expect([...lab.accounts.values()].map(({ balance }) => balance).sort()).toEqual([150_000_000n, 200_000_000n]);
    expect(await grapevine(more)).toMatchObject({ status: 2, stderr: expect.stringContaining('never overwritten') });
  });
});

describe('certificates', () => {
  const genesis = certifiedGenesis();
  const chain = minedChain(genesis, 3);
  const good = certificateDocument({
    chainId: genesis.chainId,
    block: checkpointOf(chain[2]!),
    state: 'final',
    from: checkpointOf(chain[0]!),
    headers: headersOf(chain),
    links: [signedLink(genesis, chain[0]!, chain[2]!), signedLink(genesis, chain[2]!, chain[3]!)],
  });
  const files = async (document: unknown) => {
    const [genesisFile, file] = [join(folder, 'certified.json'), join(folder, 'certificate.json')];
    await writeFile(genesisFile, JSON.stringify(genesis.doc));
    await writeFile(file, typeof document === 'string' ? document : JSON.stringify(document));
    return [file, '--genesis', genesisFile];
  };

  it('are checked offline: 0, and what is proved', async () => {
    const nowhere = { GRAPEVINE_API: 'http://127.0.0.1:1' };
    const run = await grapevine(['verify-certificate', ...(await files(good))], nowhere);
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(run.stdout).toContain(`block 2 ${chain[2]!.header.id} is final`);
    expect(run.stdout).toContain('by 3 votes of 4 voters, 3 needed, for 0 → 2:');
    for (const { address } of VOTERS.slice(0, 3)) expect(run.stdout).toContain(formatAddress(address));
    const json = document(await grapevine(['verify-certificate', ...(await files(good)), '--json'], nowhere));
    expect(json).toMatchObject({ block: { height: '2' }, state: 'final', n: 4, quorum: 3, headers: 3, links: 2 });
  });

  it('are taken from standard input too', async () => {
    const [, ...genesisOption] = await files(good);
    const args = ['verify-certificate', '-', ...genesisOption];
    const run = await runCli(args, { input: Buffer.from(JSON.stringify(good)) });
    expect(run).toMatchObject({ status: 0, stdout: expect.stringContaining('is final\n'), stderr: '' });
    const empty = await runCli(args, { input: Buffer.from('') });
    expect(empty.status).toBe(1);
    expect(empty.stderr).toMatch(/certificate\/malformed: standard input is not JSON: /);
  });

  it('that claim agreed are not called final, whatever they prove', async () => {
    const agreed = { ...good, state: 'agreed' };
    const short = { ...agreed, headers: good.headers.slice(0, 2), links: good.links.slice(0, 1) };
    const run = await grapevine(['verify-certificate', ...(await files(short))]);
    expect(run.stdout).toContain(` is agreed, not final: the chain may still leave it\n`);
    const more = await grapevine(['verify-certificate', ...(await files(agreed))]);
    expect(more.stdout).toContain(' is agreed, as the document claims; its votes prove it final as well\n');
    const json = document(await grapevine(['verify-certificate', ...(await files(agreed)), '--json']));
    expect(json).toMatchObject({ state: 'agreed', proved: 'final' });
  });

  it('are refused with 1 and what is wrong', async () => {
    const bad = { ...good, links: [{ ...good.links[0]!, votes: good.links[0]!.votes.slice(1) }, good.links[1]!] };
    const run = await grapevine(['verify-certificate', ...(await files(bad))]);
    expect(run).toMatchObject({ status: 1, stdout: '' });
    expect(run.stderr).toContain('refused: certificate/too-few-votes: links[0], 0 → 2: 2 votes of 4');
    const broken = await grapevine(['verify-certificate', ...(await files('{')), '--json']);
    expect(broken.status).toBe(1);
    const detail = expect.stringContaining('certificate.json is not JSON: ');
    expect(document(broken)).toMatchObject({ error: { code: 'certificate/malformed', detail } });
    const missing = await grapevine(['verify-certificate', '/nonexistent.json', '--genesis', '/nonexistent.json']);
    expect(missing).toMatchObject({ status: 2, stderr: expect.stringContaining('cannot read') });
  });

  it('are refused with what is wrong where a text in them has millions of digits', async () => {
    const run = await grapevine([
      'verify-certificate',
      ...(await files({ ...good, headers: ['ab'.repeat(8_000_000)] })),
    ]);
    expect(run).toMatchObject({ status: 1, stdout: '' });
    expect(run.stderr).toContain('refused: certificate/malformed: headers[0] must be 226 hex digits, not 16000000');
  });

  it('of one voter, one link and one header are told of in the singular', async () => {
    const lone = certifiedGenesis('lone', { voters: [VOTERS[0]!.address] });
    const [root, child] = minedChain(lone, 1) as [ChainEntry, ChainEntry];
    const [genesisFile, file] = [join(folder, 'lone.json'), join(folder, 'lone-certificate.json')];
    await writeFile(genesisFile, JSON.stringify(lone.doc));
    const link = signedLink(lone, root, child, VOTERS.slice(0, 1));
    const ends = { block: checkpointOf(child), from: checkpointOf(root) };
    const proof = {
      chainId: lone.chainId,
      state: 'agreed',
      headers: headersOf([root, child]),
      links: [link],
      ...ends,
    } as const;
    await writeFile(file, JSON.stringify(certificateDocument(proof)));
    const { stdout } = await grapevine(['verify-certificate', file, '--genesis', genesisFile]);
    expect(stdout).toContain('by 1 vote of 1 voter, 1 needed, for 0 → 1:\n');
    expect(stdout).toContain('checked from genesis: 1 link, 1 header, total work');
  });

  it('can not turn the text of a terminal around, nor hide some of it', async () => {
    const key = '\u202e\u2066\u200b\ufeff\u001bkey';
    const run = await grapevine(['verify-certificate', ...(await files({ ...good, [key]: 1 }))]);
    expect(run).toMatchObject({ status: 1, stdout: '' });
    expect(run.stderr).toBe('refused: certificate/malformed: ?????key is not a known key\n');
  });

  it('a genesis that is not JSON is called that', async () => {
    const [file] = await files(good);
    const broken = join(folder, 'broken-genesis.json');
    await writeFile(broken, '{');
    const run = await grapevine(['verify-certificate', file!, '--genesis', broken]);
    expect(run).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(`${broken} is not JSON: `) });
  });

  it('are fetched into a new file', async () => {
    const file = join(folder, 'fetched.json');
    expect(await grapevine(['certificate', '5', '-o', file])).toMatchObject({ status: 0 });
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(await backend.certificate(5n, undefined));
    expect(await grapevine(['certificate', '5', '-o', file])).toMatchObject({ status: 2 });
    expect(await grapevine(['certificate', '7'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('not-found'),
    });
  });
});

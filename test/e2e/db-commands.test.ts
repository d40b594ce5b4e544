/** `grapevine db` as people run it: on a node's directory below its genesis, as the devnet lays it out. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseGenesis } from '../../chain/genesis.ts';
import { KIND } from '../../node/store/keys.ts';
import { openLevelStore } from '../../node/store/open-level-store.ts';
import { SCHEMA } from '../../node/store/schema.ts';
import { runCli, spawnCli } from '../run-cli.ts';
import { buildRealChain, openOffline, realGenesis } from '../unit/store/real-chain.ts';

const LENGTH = 12;

let root: string;
let dataDir: string;

async function db(args: readonly string[], input?: Uint8Array, cwd = process.cwd()) {
  const run = await runCli(['db', ...args], { input, cwd });
  return { ...run, json: (): Record<string, unknown> => JSON.parse(run.stdout) };
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'grapevine-db-'));
  dataDir = join(root, 'node1');
  await writeFile(join(root, 'genesis.json'), JSON.stringify(realGenesis.doc));
  const store = await openLevelStore({ location: join(dataDir, 'store'), dataDir });
  await buildRealChain(store, LENGTH);
  await store.close();
});

afterAll(() => rm(root, { recursive: true, force: true }));

test('verify, stats, export, import, prune: one after the other on a sound store', async () => {
  const verified = await db(['verify', '--data-dir', dataDir, '--signatures', '--json']);
  expect(verified.status, verified.stderr).toBe(0);
  expect(verified.json()).toMatchObject({ sound: true, faults: [], blocks: LENGTH + 2, tip: { height: '12' } });

  // As the examples and the damaged store's message have it: relative to where one is.
  const relative = await db(['verify', '--data-dir', 'node1'], undefined, root);
  expect(relative.stdout, relative.stderr).toMatch(/^Sound/);

  const stats = await db(['stats', '--data-dir', dataDir, '--json']);
  expect(stats.json()).toMatchObject({ schema: SCHEMA, chainId: realGenesis.chainId, kinds: { guard: { count: 1 } } });

  const file = join(root, 'chain.gv');
  const exported = await db(['export', '--data-dir', dataDir, '--out', file, '--json']);
  expect(exported.status, exported.stderr).toBe(0);
  expect(exported.json()).toMatchObject({ final: { height: '10' }, certificates: LENGTH - 1 });
  const piped = await db(['export', '--data-dir', dataDir]);
  expect(piped.status, piped.stderr).toBe(0);

  for (const target of ['full', 'closed'] as const) {
    const out = target === 'full' ? await open('/dev/full', 'w') : undefined;
    const child = spawnCli(['db', 'export', '--data-dir', dataDir], {}, ['ignore', out?.fd ?? 'pipe', 'pipe']);
    child.stdout?.destroy();
    const said: Buffer[] = [];
    child.stderr!.on('data', (chunk: Buffer) => said.push(chunk));
    const [status] = await once(child, 'close');
    await out?.close();
    expect(Buffer.concat(said).toString()).toMatch(
      /^[^\n]*export\/unwritable[^\n]*cannot write standard output[^\n]*\n$/,
    );
    expect(status).toBe(1);
  }

  const bob = join(root, 'bob');
  const imported = await db(['import', file, '--data-dir', bob, '--json']);
  const counts = { blocks: LENGTH, known: 0, certificates: LENGTH - 1, tookMs: expect.any(Number) };
  expect(imported.json()).toMatchObject({ ...counts, finalProved: true, tip: { height: '12' } });
  const again = await db(['import', file, '--data-dir', bob]);
  expect(again.stdout).toMatch(
    /^Imported 0 blocks and 0 certificates of chain [0-9a-f]{64} in \d+\.\d s; 12 blocks had been here before\.\n/,
  );
  const carol = join(root, 'carol');
  const fromPipe = await db(['import', '-', '--data-dir', carol], piped.stdoutBytes);
  expect(fromPipe.status, fromPipe.stderr).toBe(0);
  expect((await db(['verify', '--data-dir', carol])).stdout).toMatch(/^Sound: 13 blocks/);

  const pruned = await db(['prune', '--data-dir', bob, '--keep', '128', '--bodies', '--json']);
  expect(pruned.json()).toMatchObject({ final: '10', keptFrom: '0', removed: { bodies: 0 } });
});

test('an import reads a named pipe, as a shell puts in the place of <(gunzip -c chain.gv.gz), only once', async () => {
  const pipe = join(root, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const whole = await readFile(join(root, 'chain.gv'));
  const importing = db(['import', pipe, '--data-dir', join(root, 'heidi')]);
  const [imported] = await Promise.all([importing, writeFile(pipe, whole)]);
  expect(imported.status, imported.stderr).toBe(0);
});

describe('an import puts the genesis into a data directory that has none itself', () => {
  const genesisIn = async (directory: string) => JSON.parse(await readFile(join(directory, 'genesis.json'), 'utf8'));

  test('before the blocks: what an import that broke off has left can be read, and the same import goes on', async () => {
    const erin = join(root, 'elsewhere', 'erin');
    const whole = await readFile(join(root, 'chain.gv'));
    const broken = await db(['import', '-', '--data-dir', erin], whole.subarray(0, whole.length / 2));
    expect(broken.status, broken.stderr).toBe(1);
    expect(await genesisIn(erin)).toEqual(realGenesis.doc);
    expect((await db(['verify', '--data-dir', erin])).stdout).toMatch(/^Sound: (?!1 )\d+ blocks/);
    const again = await db(['import', '-', '--data-dir', erin, '--json'], whole);
    expect(again.json()).toMatchObject({ tip: { height: '12' }, finalProved: true });
  });

  test('whichever document it was compared with', async () => {
    const frank = join(root, 'elsewhere', 'frank');
    const genesis = join(root, 'genesis.json');
    const imported = await db(['import', join(root, 'chain.gv'), '--data-dir', frank, '--genesis', genesis]);
    expect(imported.status, imported.stderr).toBe(0);
    expect(await genesisIn(frank)).toEqual(realGenesis.doc);
  });

  test('not where its store is of another chain', async () => {
    const grace = join(root, 'elsewhere', 'grace');
    const store = await openLevelStore({ location: join(grace, 'store'), dataDir: grace });
    await openOffline(store, parseGenesis({ ...realGenesis.doc, name: 'other' }));
    await store.close();
    const refused = await db(['import', join(root, 'chain.gv'), '--data-dir', grace]);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/store\/wrong-chain/);
    expect(await readdir(grace)).toEqual(['store']);
  });
});

test('damage: verify says what and exits 1, the node refuses, repair mends with a copy, verify is content', async () => {
  const damaged = join(root, 'damaged');
  await db(['import', join(root, 'chain.gv'), '--data-dir', damaged, '--genesis', join(root, 'genesis.json')]);
  await rm(join(damaged, 'store', 'CURRENT'));
  await rm(join(damaged, 'store', 'GRAPEVINE-GUARDS'));
  const verified = await db(['verify', '--data-dir', damaged]);
  expect(verified.status).toBe(1);
  expect(verified.stdout).toMatch(
    /files: its file CURRENT is missing\n.*repair .*\n\n1 fault\. .*db repair --data-dir/,
  );
  const repaired = await db(['repair', '--data-dir', damaged]);
  expect(repaired.status, repaired.stderr).toBe(0);
  expect(repaired.stdout).toMatch(/The store as it was: .*store\.backup-.*\n[\s\S]*raised to height \d+/);
  expect((await db(['verify', '--data-dir', damaged, '--json'])).json()).toMatchObject({ sound: true });
  expect((await readdir(damaged)).filter((name) => name.startsWith('store.backup-'))).toHaveLength(1);
});

test('many faults of one kind: a few are shown and the others counted, all are in the document', async () => {
  const damaged = join(root, 'many');
  await db(['import', join(root, 'chain.gv'), '--data-dir', damaged, '--genesis', join(root, 'genesis.json')]);
  const level = new ClassicLevel<Uint8Array, Uint8Array>(join(damaged, 'store'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  });
  await level.clear({ gte: Uint8Array.of(KIND.delta), lt: Uint8Array.of(KIND.delta + 1) });
  await level.close();
  const { faults } = (await db(['verify', '--data-dir', damaged, '--json'])).json() as { faults: { kind: string }[] };
  const found = faults.filter(({ kind }) => kind === 'delta-missing').length;
  expect(found).toBeGreaterThan(5);
  const genesis = join(root, 'genesis.json');
  const { status, stdout } = await db(['verify', '--data-dir', damaged, '--genesis', genesis]);
  expect(status).toBe(1);
  expect(stdout.match(/^delta-missing: (?!and)/gm)).toHaveLength(5);
  expect(stdout).toContain(`delta-missing: and ${found - 5} more; --json lists all\n`);
  expect(stdout).toContain(
    `${faults.length} faults. Mend with: npx grapevine db repair --data-dir ${damaged} --genesis ${genesis}\n`,
  );
});

test('a store that is open elsewhere is refused by every command, with exit status 1', async () => {
  const store = await openLevelStore({ location: join(dataDir, 'store'), dataDir });
  const location = join(dataDir, 'store');
  const detail =
    `the store in ${location} is in use by another process, a node or a command: ` +
    'stop that first, or use another --data-dir';
  const commands = [['verify'], ['repair'], ['prune'], ['stats'], ['export', '--out', join(root, 'x.gv')]];
  for (const command of [...commands, ['import', join(root, 'chain.gv')]]) {
    const outcome = await db([...command, '--data-dir', dataDir, '--json']);
    expect(outcome.status, command[0]).toBe(1);
    expect(outcome.json(), command[0]).toMatchObject({ error: { code: 'store/locked', detail } });
  }
  await store.close();
});

test('bad usage exits 2 and says what to do; every command has examples', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['verify', '--data-dir', join(root, 'nowhere')], /there is no store in/],
    [['verify', '--data-dir', dataDir, '--genesis', join(root, 'none.json')], /cannot read .*none\.json/],
    [['prune', '--data-dir', dataDir, '--keep', '5'], /from 128/],
    [['import', join(root, 'none.gv'), '--data-dir', join(root, 'dave')], /there is no such file/],
    [['import', root, '--data-dir', join(root, 'dave')], /it is a directory/],
    [['frobnicate'], /unknown command/],
  ];
  for (const [args, message] of cases) {
    const { status, stderr } = await db(args);
    expect(status, args.join(' ')).toBe(2);
    expect(stderr).toMatch(message);
  }
  for (const command of ['verify', 'repair', 'export', 'import', 'prune', 'stats']) {
    const { status, stdout } = await db([command, '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Examples:\n\s+\$ grapevine db/);
  }
});

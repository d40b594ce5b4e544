import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { signVote } from '../../../chain/sign.ts';
import { voteProtectionDocument } from '../../../chain/vote-protection.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { openLevelStore } from '../../../node/store/open-level-store.ts';
import { type Store, StoreError, type VoteGuard, type VoteProtectionStore } from '../../../node/store/store.ts';
import { exportGuard } from '../../../scripts/vote-protection.ts';
import { type CliRun, runCli } from '../../run-cli.ts';
import { certifiedGenesis } from '../chain/certified-chain.ts';
import { alice, bob, genesis } from '../chain/chain-fixtures.ts';
import { realGenesis } from '../store/real-chain.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-protection-'));
  await writeFile(join(folder, 'genesis.json'), JSON.stringify(genesis.doc));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const grapevine = (...args: string[]): Promise<CliRun> => runCli(['vote-protection', ...args]);

const dirOf = (name: string) => join(folder, name);

async function onStore<T>(name: string, body: (store: Store) => Promise<T>): Promise<T> {
  const store = await openLevelStore({ location: join(dirOf(name), 'store'), dataDir: dirOf(name) });
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

/** A store of the chain in which the key has voted. */
async function makeVoterStore(name: string, guard: VoteGuard, key = alice, of = genesis): Promise<void> {
  await mkdir(dirOf(name), { recursive: true });
  await onStore(name, async (store) => {
    const delta = { before: new Map(), after: of.accounts };
    await store.initialize({ entry: of.entry, block: of.block, delta }, of.accounts);
    await vote(store, guard, key);
  });
}

function vote(store: Store, guard: VoteGuard, key = alice): Promise<void> {
  const { id } = genesis.entry.header;
  const source = { height: guard.sourceHeight, id };
  const target = { height: guard.targetHeight, id };
  return store.saveOwnVote(signVote({ chainId: genesis.chainId, source, target }, key.secretKey), guard);
}

test('a voter moves: the old store casts no vote any more, the new one none that contradicts an old one', async () => {
  await makeVoterStore('old', { sourceHeight: 6n, targetHeight: 7n });
  const file = join(folder, 'protection.json');
  const exported = await grapevine('export', '--data-dir', dirOf('old'), '-o', file);
  expect(exported).toMatchObject({ status: 0, stdout: expect.stringContaining('source 6, target 7') });
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
    chainId: genesis.chainId,
    voter: formatAddress(alice.address),
    sourceHeight: '6',
    targetHeight: '7',
    moves: 1,
    disabled: true,
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  await onStore('old', async (store) => {
    expect(await store.voteGuard(alice.address)).toMatchObject({ disabled: true, moves: 1 });
    await expect(vote(store, { sourceHeight: 7n, targetHeight: 8n, moves: 1 })).rejects.toThrow('VOTE-8');
  });

  // The new machine has no store yet, so its chain comes from the genesis.
  const imported = await grapevine(
    'import',
    file,
    '--data-dir',
    dirOf('new'),
    '--genesis',
    join(folder, 'genesis.json'),
  );
  expect(imported).toMatchObject({ status: 0, stdout: expect.stringContaining('source 6, target 7 on') });
  await onStore('new', async (store) => {
    expect(await store.load(genesis.chainId)).toBeUndefined(); // still to be begun by the node
    await expect(vote(store, { sourceHeight: 5n, targetHeight: 8n, moves: 1 })).rejects.toThrow('VOTE-8');
    await vote(store, { sourceHeight: 7n, targetHeight: 8n, moves: 1 });
  });

  const again = await grapevine('import', file, '--data-dir', dirOf('old'));
  expect(again).toMatchObject({ status: 1, stderr: expect.stringContaining('refused: protection/moved-on') });

  // And back: what the new machine exports is taken by the old one.
  const back = join(folder, 'back.json');
  expect(
    await grapevine('export', '--data-dir', dirOf('new'), '-o', back, '--genesis', join(folder, 'genesis.json')),
  ).toMatchObject({ status: 0 });
  expect(await grapevine('import', back, '--data-dir', dirOf('old'))).toMatchObject({ status: 0 });
  await onStore('old', async (store) => {
    expect(await store.voteGuard(alice.address)).toEqual({
      sourceHeight: 7n,
      targetHeight: 8n,
      disabled: false,
      moves: 2,
    });
    await vote(store, { sourceHeight: 8n, targetHeight: 9n, moves: 2 });
  });
}, 60_000);

test('what does not fit is refused, and changes nothing', async () => {
  await makeVoterStore('old', { sourceHeight: 6n, targetHeight: 7n });
  await makeVoterStore('bob', { sourceHeight: 1n, targetHeight: 2n }, bob);
  await makeVoterStore('elsewhere', { sourceHeight: 1n, targetHeight: 2n }, alice, certifiedGenesis());
  const copy = join(folder, 'copy.json');
  const kept = await grapevine('export', '--data-dir', dirOf('old'), '-o', copy, '--no-disable');
  expect(kept).toMatchObject({ status: 0, stderr: expect.stringContaining('goes on voting') });
  await onStore('old', (store) => vote(store, { sourceHeight: 7n, targetHeight: 8n }));
  const live = await grapevine('import', copy, '--data-dir', dirOf('old'));
  expect(live).toMatchObject({ status: 1, stderr: expect.stringContaining('refused: protection/still-voting') });

  const file = join(folder, 'protection.json');
  expect(await grapevine('export', '--data-dir', dirOf('old'), '-o', file)).toMatchObject({ status: 0 });
  const refusals = [
    [['import', file, '--data-dir', dirOf('elsewhere')], 1, 'protection/wrong-chain'],
    [['import', file, '--data-dir', dirOf('bob')], 1, 'protection/wrong-voter'],
    [['import', file, '--data-dir', dirOf('old'), '--voter', formatAddress(bob.address)], 1, 'protection/wrong-voter'],
    [['import', join(folder, 'genesis.json'), '--data-dir', dirOf('bob')], 1, 'protection/malformed'],
    [['import', file, '--data-dir', dirOf('empty')], 2, 'give --genesis'],
    [['import', '/nonexistent.json', '--data-dir', dirOf('bob')], 2, 'cannot read'],
    [['export', '--data-dir', dirOf('nowhere')], 2, 'no store'],
    [['export', '--data-dir', dirOf('old'), '-o', file], 2, 'exists'],
  ] as const;
  for (const [args, status, why] of refusals) {
    expect(await grapevine(...args), args.join(' ')).toMatchObject({ status, stderr: expect.stringContaining(why) });
  }
  await onStore('bob', async (store) => {
    expect(await store.voteGuard(alice.address)).toBeUndefined();
    expect(await store.voteGuard(bob.address)).toEqual({ sourceHeight: 1n, targetHeight: 2n });
  });
}, 60_000);

test('a store that a node has open is left alone', async () => {
  await makeVoterStore('old', { sourceHeight: 6n, targetHeight: 7n });
  await onStore('old', async () => {
    const run = await grapevine('export', '--data-dir', dirOf('old'));
    expect(run).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('refused: store/locked') });
  });
}, 30_000);

test('a document that has nowhere to go: the store votes on, and the answer says why, without a stack', async () => {
  const guard = { sourceHeight: 6n, targetHeight: 7n };
  await makeVoterStore('old', guard);
  const nowhere = join(folder, 'no', 'such', 'folder.json');
  for (const out of [nowhere, join(folder, 'genesis.json', 'below-a-file.json'), folder]) {
    const failed = await grapevine('export', '--data-dir', dirOf('old'), '-o', out);
    expect(failed, out).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/^error: .*\n$/) });
  }
  await onStore('old', async (store) => {
    expect(await store.voteGuard(alice.address)).toEqual(guard);
    await vote(store, { sourceHeight: 7n, targetHeight: 8n });
  });
}, 60_000);

/** A store whose voter has voted; `save` is what becomes of its guard. */
function storeWith(save: (guard: VoteGuard) => Promise<void>): VoteProtectionStore {
  let guard: VoteGuard = { sourceHeight: 6n, targetHeight: 7n };
  return {
    chainId: async () => genesis.chainId,
    voteGuards: async () => new Map([[alice.address, guard]]),
    saveVoteGuard: async (_voter, next) => {
      await save(next);
      guard = next;
    },
    close: async () => undefined,
  };
}

test('a store that refuses: what it said is passed on, and no file stays', async () => {
  const out = join(folder, 'protection.json');
  const refused = new StoreError('full', 'no space left');
  const before = await readdir(folder);
  let whileSaving: readonly string[] = [];
  const store = storeWith(async () => {
    whileSaving = await readdir(folder);
    throw refused;
  });
  await expect(exportGuard(store, { dataDir: dirOf('old'), out })).rejects.toBe(refused);
  expect(whileSaving).toHaveLength(before.length + 1); // its room was taken before the store was touched
  expect(await readdir(folder)).toEqual(before);
});

test.each(['before', 'after'])(
  'an export killed %s the voter is disabled is done by the same command again, with the same document',
  async (moment) => {
    const out = join(folder, 'protection.json');
    const store = storeWith(async () => {});
    const reached = Promise.withResolvers<void>();
    const killed: VoteProtectionStore = {
      ...store,
      saveVoteGuard: async (voter, guard) => {
        if (moment === 'after') await store.saveVoteGuard(voter, guard);
        reached.resolve();
        await new Promise(() => {}); // nothing comes after a kill
      },
    };
    void exportGuard(killed, { dataDir: dirOf('old'), out });
    await reached.promise;
    await expect(readFile(out)).rejects.toThrow('ENOENT');
    const document = await exportGuard(store, { dataDir: dirOf('old'), out });
    expect(document).toMatchObject({ sourceHeight: '6', targetHeight: '7', moves: 1, disabled: true });
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(document);
  },
);

test('a file that comes while the voter is disabled stays, and the answer says how to have the document', async () => {
  const out = join(folder, 'protection.json');
  const store = storeWith(() => writeFile(out, 'precious'));
  const message = expect.stringMatching(/EEXIST.*casts no votes.*export again, to another place/);
  await expect(exportGuard(store, { dataDir: 'here', out })).rejects.toMatchObject({
    code: 'export/unwritable',
    message,
  });
  expect(await readFile(out, 'utf8')).toBe('precious');
  const elsewhere = await exportGuard(store, { dataDir: 'here', out: join(folder, 'another.json') });
  expect(elsewhere).toMatchObject({ moves: 1, disabled: true });
});

test('a store of an older schema and another chain is refused as it is: neither brought over nor copied', async () => {
  await makeOldStore('old');
  const before = await readAll('old');
  const protection = { sourceHeight: 6n, targetHeight: 7n, disabled: true, moves: 1 };
  const importOf = async (chainId: string) => {
    const document = voteProtectionDocument({ chainId, voter: alice.address, protection });
    await writeFile(join(folder, 'given.json'), JSON.stringify(document));
    const voter = formatAddress(alice.address);
    return grapevine('import', join(folder, 'given.json'), '--data-dir', dirOf('old'), '--voter', voter);
  };
  const refused = await importOf(genesis.chainId);
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('refused: protection/wrong-chain') });
  expect(refused.stderr).not.toContain('older schema');
  expect(await readdir(dirOf('old'))).toEqual(['store']);
  expect(await readAll('old')).toEqual(before);

  const taken = await importOf(realGenesis.chainId);
  expect(taken).toMatchObject({ status: 0, stderr: expect.stringContaining('older schema') });
}, 30_000);

const BYTES = { keyEncoding: 'hex', valueEncoding: 'hex' } as const;

/** As the version with schema 1 wrote it. */
async function makeOldStore(name: string): Promise<void> {
  const vector = new URL('../../vectors/store-schema-1.json', import.meta.url);
  const { records } = JSON.parse(await readFile(vector, 'utf8')) as { records: Readonly<Record<string, string>> };
  await mkdir(dirOf(name), { recursive: true });
  const db = new ClassicLevel(join(dirOf(name), 'store'), BYTES);
  await db.batch(Object.entries(records).map(([key, value]) => ({ type: 'put', key, value })));
  await db.close();
}

async function readAll(name: string): Promise<readonly unknown[]> {
  const db = new ClassicLevel(join(dirOf(name), 'store'), BYTES);
  const all = await db.iterator().all();
  await db.close();
  return all;
}

test('a document that leaves no move is refused at import', async () => {
  await makeVoterStore('old', { sourceHeight: 6n, targetHeight: 7n });
  const protection = { sourceHeight: 6n, targetHeight: 7n, disabled: true, moves: 0xffff_ffff };
  const file = join(folder, 'spent.json');
  const document = voteProtectionDocument({ chainId: genesis.chainId, voter: alice.address, protection });
  await writeFile(file, JSON.stringify(document));
  const run = await grapevine('import', file, '--data-dir', dirOf('old'));
  expect(run).toMatchObject({ status: 1, stderr: expect.stringContaining('refused: protection/malformed: moves: ') });
  expect(await grapevine('export', '--data-dir', dirOf('old'))).toMatchObject({ status: 0 });
}, 30_000);

test('a genesis or a document that is not JSON is called that', async () => {
  const file = join(folder, 'copy.json');
  const protection = { sourceHeight: 6n, targetHeight: 7n, disabled: true, moves: 1 };
  const document = voteProtectionDocument({ chainId: genesis.chainId, voter: alice.address, protection });
  await writeFile(file, JSON.stringify(document));
  const broken = join(folder, 'broken.json');
  await writeFile(broken, '{');
  const run = await grapevine('import', file, '--data-dir', dirOf('new'), '--genesis', broken);
  expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining(`${broken} is not JSON: `) });
  const refused = await grapevine('import', broken, '--data-dir', dirOf('new'));
  const why = `refused: protection/malformed: ${broken} is not JSON: `;
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining(why) });
}, 30_000);

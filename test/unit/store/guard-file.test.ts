import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_U64 } from '../../../chain/params.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { GUARD_FILE, readGuardFile, saveGuardFile } from '../../../node/store/guard-file.ts';
import { alice, bob } from '../chain/chain-fixtures.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-guards-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const GUARD = { voter: formatAddress(alice.address), sourceHeight: '6', targetHeight: '7', disabled: false, moves: 0 };

/** Writes the file with a checksum that fits. */
async function write(guards: unknown, rest: object = {}): Promise<void> {
  const sum = crc32(JSON.stringify(guards)).toString(16).padStart(8, '0');
  const document = { format: 'grapevine-guards/1', guards, crc32: sum, ...rest };
  await writeFile(join(folder, GUARD_FILE), `${JSON.stringify(document)}\n`);
}

test('says what was saved', async () => {
  const guards = new Map([
    [alice.address, { sourceHeight: 0n, targetHeight: 0n, disabled: false, moves: 0 }],
    [bob.address, { sourceHeight: MAX_U64 - 1n, targetHeight: MAX_U64, disabled: true, moves: 0xffff_ffff }],
  ]);
  await saveGuardFile(folder, guards);
  expect(await readGuardFile(folder)).toEqual({ kind: 'good', guards });
});

test.each([
  ['guards[0].targetHeight must be a decimal string', { targetHeight: (MAX_U64 + 1n).toString() }],
  ['guards[0].sourceHeight must be a decimal string', { sourceHeight: '06' }],
  ['guards[0].sourceHeight must be a decimal string', { sourceHeight: 6 }],
  ['guards[0].voter ', { voter: 'alice' }],
  ['guards[0].disabled is missing', { disabled: undefined }],
  ['guards[0].disabled must be true or false', { disabled: 0 }],
  ['guards[0].moves must be a whole number', { moves: 1.5 }],
  ['guards[0].moves must be a whole number', { moves: 2 ** 32 }],
  ['guards[0].until is not a known key', { until: '9' }],
])('%s: not what was written', async (why, change) => {
  await write([GUARD]);
  expect((await readGuardFile(folder)).kind).toBe('good');
  await write([{ ...GUARD, ...change }]);
  const detail = expect.stringContaining(`its file GRAPEVINE-GUARDS is not what was written: ${why}`);
  expect(await readGuardFile(folder)).toEqual({ kind: 'bad', detail });
});

test.each([
  ["format must be 'grapevine-guards/1'", { format: 'grapevine-guards/2', guards: undefined, voters: [] }],
  ['guards must be an array', { guards: {} }],
  ['it fails its checksum', { crc32: '00000000' }],
  ['it fails its checksum', { crc32: 0 }],
])('%s: not what was written, as a whole', async (why, rest) => {
  await write([GUARD], rest);
  expect(await readGuardFile(folder)).toEqual({ kind: 'bad', detail: expect.stringContaining(why) });
});

test('a file as this format was first written is read', async () => {
  const text =
    '{"format":"grapevine-guards/1","guards":[{"voter":"gv1pl6vgpe5xk5k7776zpemfgw5tyckd972re5jgnu","sourceHeight":"6","targetHeight":"7",' +
    '"disabled":false,"moves":0}],"crc32":"995b0a6e"}\n';
  await writeFile(join(folder, GUARD_FILE), text);
  const heights = { sourceHeight: 6n, targetHeight: 7n };
  const guards = new Map([[alice.address, { ...heights, disabled: false, moves: 0 }]]);
  expect(await readGuardFile(folder)).toEqual({ kind: 'good', guards });
});

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
  ['a height above 2^64 - 1', { targetHeight: (MAX_U64 + 1n).toString() }],
  ['a height with a leading zero', { sourceHeight: '06' }],
  ['a height that is a number', { sourceHeight: 6 }],
  ['a voter that is none', { voter: 'alice' }],
  ['no word on whether the voter is disabled', { disabled: undefined }],
])('with %s it is not what was written', async (_what, change) => {
  await write([GUARD]);
  expect((await readGuardFile(folder)).kind).toBe('good');
  await write([{ ...GUARD, ...change }]);
  expect((await readGuardFile(folder)).kind).toBe('bad');
});

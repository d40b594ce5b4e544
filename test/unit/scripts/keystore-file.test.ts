import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../../crypto/hash.ts';
import { encryptKeystore, KeystoreError } from '../../../crypto/keystore.ts';
import { KeystoreFileError, loadKeystore, saveKeystore } from '../../../scripts/keystore-file.ts';

const secretKey = sha256(new TextEncoder().encode('secret'));
const keystore = await encryptKeystore(secretKey, 'password', (length) => new Uint8Array(length), { n: 2 });
const posix = process.platform !== 'win32';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-keystore-'));
  path = join(folder, 'key.json');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
}

async function expectFileError(promise: Promise<unknown>, code: KeystoreFileError['code'], message: string) {
  const error = await errorOf(promise);
  expect(error).toBeInstanceOf(KeystoreFileError);
  expect(error).toMatchObject({ code, message });
}

describe('saving a keystore', () => {
  test('loads again as it was saved', async () => {
    await saveKeystore(path, keystore);
    expect(await loadKeystore(path)).toEqual(keystore);
  });

  test('leaves the file alone in its folder, readable by the owner only', async () => {
    await saveKeystore(path, keystore);
    expect(await readdir(folder)).toEqual(['key.json']);
    if (posix) expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('makes missing folders, for the owner only', async () => {
    const deep = join(folder, 'a', 'b', 'key.json');
    await saveKeystore(deep, keystore);
    expect(await loadKeystore(deep)).toEqual(keystore);
    if (posix) expect((await stat(join(folder, 'a'))).mode & 0o077).toBe(0);
  });

  test('never overwrites, and leaves nothing behind', async () => {
    await writeFile(path, 'precious');
    const message = `${path} exists: a keystore is never overwritten, choose another name`;
    await expectFileError(saveKeystore(path, keystore), 'exists', message);
    expect(await readFile(path, 'utf8')).toBe('precious');
    expect(await readdir(folder)).toEqual(['key.json']);
  });

  test('of two at once, one wins and the other is told', async () => {
    const outcomes = await Promise.allSettled([saveKeystore(path, keystore), saveKeystore(path, keystore)]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await loadKeystore(path)).toEqual(keystore);
  });
});

describe('loading a keystore', () => {
  test('that is not there fails as missing, with its path', async () => {
    await expectFileError(loadKeystore(path), 'missing', `no keystore at ${path}`);
  });

  test('that is a folder fails as no file', async () => {
    await mkdir(path, { mode: 0o700 });
    await expectFileError(loadKeystore(path), 'not-a-file', `${path} is not a file`);
  });

  test.runIf(posix).each(['640', '604', '660', '602', '644', '777'])('mode %s is refused', async (mode) => {
    await saveKeystore(path, keystore);
    await chmod(path, mode);
    const message =
      `${path} is open to others (mode 0${mode}): run chmod 600 on it, ` +
      'and consider the key known if they could read it';
    await expectFileError(loadKeystore(path), 'permissions', message);
  });

  test.runIf(posix).each(['600', '400', '700'])('mode %s is accepted', async (mode) => {
    await saveKeystore(path, keystore);
    await chmod(path, mode);
    expect(await loadKeystore(path)).toEqual(keystore);
  });

  test('that is far too long is refused before it is read', async () => {
    await writeFile(path, ' '.repeat(20_000), { mode: 0o600 });
    const message = `${path} has 20000 bytes, a keystore has at most 16384`;
    await expectFileError(loadKeystore(path), 'too-large', message);
  });

  test('cut at any byte is damaged, never a wrong password', async () => {
    const text = JSON.stringify(keystore);
    for (let length = 0; length < text.length; length += 7) {
      await writeFile(path, text.slice(0, length), { mode: 0o600 });
      const error = await errorOf(loadKeystore(path));
      expect(error).toBeInstanceOf(KeystoreError);
      expect(error).toMatchObject({ code: 'damaged', message: 'damaged keystore: not JSON' });
    }
  });
});

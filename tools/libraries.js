// @ts-check
/**
 * The libraries of the program in few files: what it imports from node_modules is some 1,900 modules, and a node that
 * loads them one by one needs twice the time and a tenth more memory than one that finds them put together (ADR 0015).
 * The sources stay as they are. Plain JavaScript without dependencies: the launcher needs it before anything is there.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const tools = dirname(fileURLToPath(import.meta.url));
const repository = dirname(tools);

/** Everything that the sources import and that is put together. All of them at once, so that none is there twice. */
export const BUNDLED = [
  '@chainsafe/libp2p-gossipsub',
  '@fastify/swagger',
  '@fastify/websocket',
  '@libp2p/crypto/keys',
  '@libp2p/identify',
  '@libp2p/noise',
  '@libp2p/peer-id',
  '@libp2p/tcp',
  '@libp2p/yamux',
  '@libp2p/yamux/stream',
  '@multiformats/multiaddr',
  '@noble/ciphers/chacha.js',
  '@noble/hashes/hmac.js',
  '@noble/hashes/scrypt.js',
  '@noble/hashes/sha2.js',
  '@noble/secp256k1',
  '@scure/base',
  '@scure/bip32',
  '@scure/bip39',
  '@scure/bip39/wordlists/english.js',
  'commander',
  'fastify',
  'it-length-prefixed',
  'it-pipe',
  'libp2p',
  'pino',
  'prom-client',
  'protons-runtime',
  'snappyjs',
  'typebox',
  'typebox/compile',
];

/** What is loaded from its package: compiled code, and what is seldom wanted. */
export const SEPARATE = [
  '@bitauth/libauth/build/lib/crypto/secp256k1.js',
  '@clack/prompts',
  'classic-level',
  'memory-level',
  'pino-pretty',
  'secp256k1/bindings.js',
  'yaml',
];

/** In the directory of bundled libraries: to be loaded by `--import` before the program. */
export const HOOK = 'hook.js';

/** @returns {string} where they are for this package-lock.json, whether or not they have been put together */
function librariesPath() {
  const hash = createHash('sha256');
  const files = [
    join(repository, 'package-lock.json'),
    join(tools, 'bundle-libraries.js'),
    join(tools, 'library-hook.js'),
  ];
  for (const file of files) hash.update(readFileSync(file)).update('\0');
  hash.update(BUNDLED.join('\n'));
  const key = hash.digest('hex').slice(0, 16);
  return join(repository, 'node_modules', '.cache', 'grapevine-libraries', key);
}

/** @returns {string | undefined} address of the hook to load first; undefined: every library is loaded from its package */
export function libraryHook() {
  if (!existsSync(join(repository, 'package-lock.json'))) return undefined; // not a checkout
  const hook = join(librariesPath(), HOOK);
  return existsSync(hook) ? pathToFileURL(hook).href : undefined;
}

/**
 * Puts them together where that has not been done: a second or two, once. Needs the devDependencies. Nothing depends on
 * it, so a failure is said and no more.
 *
 * @param {string} node Node 24 or later
 * @returns {boolean} whether it was done now
 */
export function bundleLibraries(node) {
  if (libraryHook() !== undefined || !existsSync(join(repository, 'node_modules', 'rolldown'))) return false;
  const result = spawnSync(node, [join(tools, 'bundle-libraries.js'), librariesPath()], {
    cwd: repository,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (result.status === 0) return true;
  const cause = result.error?.message ?? result.stderr.trim().split('\n').at(-1);
  process.stderr.write(`grapevine: the libraries could not be put together, which costs time only: ${cause}\n`);
  return false;
}

// @ts-check
/**
 * The libraries of the program in few files: what it imports from node_modules is some 1,900 modules, and a node that
 * loads them one by one needs twice the time and a tenth more memory than one that finds them put together (ADR 0015).
 * The sources stay as they are. Plain JavaScript without dependencies: the launcher needs it before anything is there.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Longer is given up. */
export const TIMEOUT_MS = 60_000;

const tools = dirname(fileURLToPath(import.meta.url));
const repository = dirname(tools);

/** Everything that the sources import and that is put together. All of them at once, so that none is there twice. */
export const BUNDLED = [
  '@chainsafe/libp2p-gossipsub',
  '@fastify/fast-json-stringify-compiler',
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
  'yaml',
];

/** What is loaded from its package: compiled code, and what is seldom wanted. */
export const SEPARATE = [
  '@bitauth/libauth/build/lib/crypto/secp256k1.js',
  '@clack/prompts',
  'classic-level',
  'memory-level',
  'pino-pretty',
  'secp256k1/bindings.js',
];

/** In the directory of bundled libraries: to be loaded by `--import` before the program. */
export const HOOK = 'hook.js';
/** In the same: which file answers an import, and how long each file is. Written last. */
export const MANIFEST = 'manifest.json';

/**
 * Where they are for what is installed, whether or not they have been put together.
 *
 * @returns {string | undefined} undefined where npm keeps no record of what it installed: this is not a checkout
 */
function librariesPath() {
  const installed = join(repository, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return undefined;
  const hash = createHash('sha256');
  for (const name of ['libraries.js', 'bundle-libraries.js', 'library-hook.js']) {
    hash.update(readFileSync(join(tools, name))).update('\0');
  }
  hash.update(readFileSync(installed));
  const key = hash.digest('hex').slice(0, 16);
  return join(repository, 'node_modules', '.cache', 'grapevine-libraries', key);
}

/**
 * Whether all files are there at their full length. A machine that lost power soon after they were written may have
 * empty ones.
 *
 * @param {string} directory
 */
export function areWhole(directory) {
  try {
    const { lengths } = JSON.parse(readFileSync(join(directory, MANIFEST), 'utf8'));
    return Object.entries(lengths).every(([name, length]) => statSync(join(directory, name)).size === length);
  } catch {
    return false; // no such file, or not what was written: they are made again
  }
}

/** @returns {string | undefined} address of the hook to load first; undefined: every library is loaded from its package */
export function libraryHook() {
  const directory = librariesPath();
  if (directory === undefined || !areWhole(directory)) return undefined;
  return pathToFileURL(join(directory, HOOK)).href;
}

/**
 * Puts them together where that has not been done: a second or two, once. Needs the devDependencies, and a place to write
 * to. Nothing depends on it, so a failure is said and no more.
 *
 * @param {string} node Node 24 or later
 * @returns {boolean} whether it was done now
 */
export function bundleLibraries(node) {
  const directory = librariesPath();
  const isPossible =
    existsSync(join(repository, 'node_modules', 'rolldown')) && isWritable(join(repository, 'node_modules'));
  if (directory === undefined || areWhole(directory) || !isPossible) return false;
  process.stderr.write('grapevine: putting the libraries together (once, some seconds)\n');
  const result = spawnSync(node, [join(tools, 'bundle-libraries.js'), directory], {
    cwd: repository,
    // A hook that is set there already would answer with other libraries.
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  if (result.status === 0) return true;
  const cause = result.error?.message ?? (result.stderr.trim() || `ended by ${result.signal}`);
  process.stderr.write(`grapevine: the libraries could not be put together, which costs time only: ${cause}\n`);
  return false;
}

/** @param {string} path */
function isWritable(path) {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false; // another user's, or read-only: libraries are loaded from their packages
  }
}

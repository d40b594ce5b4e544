// @ts-check
/**
 * Installs the dependencies when they are missing or not those of package-lock.json, and puts the libraries together;
 * says nothing when all is there. Runs before `npm start` and `npm test`, so it is plain JavaScript without dependencies
 * for any Node ≥ 20.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileCachePath } from './environment.js';
import { bundleLibraries, libraryHook } from './libraries.js';

const repository = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }} LockedPackage
 * @param {string} path
 * @returns {Record<string, LockedPackage> | undefined} undefined: no such file, or not one that npm finished writing
 */
function loadLockedPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** @returns {string} where the devDependency `node` keeps its executable */
export function bundledNodePath() {
  return join(repository, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/**
 * Puts the libraries together and loads the whole program once, so that five nodes that start together do not each
 * compile it. Does nothing where it has been done.
 *
 * @param {string} node Node 24 or later
 */
export function prepare(node) {
  if (!bundleLibraries(node)) return;
  const cli = join(repository, 'scripts', 'cli.ts');
  const hook = libraryHook();
  // Nothing depends on it, so nothing is said when it fails.
  spawnSync(node, [...(hook === undefined ? [] : ['--import', hook]), cli, 'node', '--print-config'], {
    cwd: repository,
    env: { ...process.env, NODE_COMPILE_CACHE: compileCachePath() },
    stdio: 'ignore',
    timeout: 10_000,
  });
}

/**
 * Compares what npm recorded when it last finished with what the lock file asks for. File times are no guide: git
 * sets them at checkout.
 *
 * @returns {string | undefined} why an installation is needed
 */
export function reasonToInstall() {
  const locked = loadLockedPackages(join(repository, 'package-lock.json'));
  if (locked === undefined) return undefined; // not a checkout: npm put us here, dependencies included
  const installed = loadLockedPackages(join(repository, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return 'no dependencies are installed yet';
  for (const [path, wanted] of Object.entries(locked)) {
    if (path === '') continue;
    const present = installed[path];
    // npm leaves out optional packages of other platforms.
    if (present === undefined && (wanted.optional === true || wanted.devOptional === true)) continue;
    if (present?.version !== wanted.version || present?.integrity !== wanted.integrity) {
      return `${path} is not the version that package-lock.json names`;
    }
  }
  if (!existsSync(bundledNodePath())) return 'Node 24 is not installed yet (npm package "node")';
  return undefined;
}

/**
 * Runs `npm ci` when it is needed. npm's own output goes to stderr: stdout belongs to the command that follows.
 *
 * @returns {boolean} false when the installation failed; the reason has been printed
 */
export function ensureInstalled() {
  const reason = reasonToInstall();
  if (reason === undefined) return true;
  process.stderr.write(`grapevine: ${reason}; running "npm ci" in ${repository} (once, about a minute)\n`);
  // --loglevel=error: under Node 20 npm warns of each package made for 22 or later; they run on the Node installed here.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const npmCli = process.env.npm_execpath;
  const isNpm = npmCli !== undefined && /npm-cli\.c?js$/.test(npmCli);
  const startedAt = process.hrtime.bigint();
  // Without npm's own path Windows has only npm.cmd, which needs a shell; the arguments hold nothing to quote.
  const result = spawnSync(isNpm ? process.execPath : 'npm', isNpm ? [npmCli, ...args] : args, {
    cwd: repository,
    stdio: ['ignore', 2, 2],
    shell: !isNpm && process.platform === 'win32',
  });
  const stillMissing = result.status === 0 ? reasonToInstall() : undefined;
  if (result.status === 0 && stillMissing === undefined) {
    const seconds = Number((process.hrtime.bigint() - startedAt) / 1_000_000n) / 1000;
    process.stderr.write(`grapevine: dependencies installed in ${seconds.toFixed(1)} s\n`);
    return true;
  }
  const cause =
    result.error?.message ??
    stillMissing ??
    (result.signal === null ? `npm ended with status ${result.status}` : `npm was stopped by ${result.signal}`);
  process.stderr.write(
    `grapevine: installing the dependencies failed: ${cause}.\n` +
      'Check that this machine reaches the npm registry, then run "npm ci" here to see the whole output.\n' +
      'If npm refuses install scripts, allow the one of the package "node".\n',
  );
  return false;
}

const calledDirectly =
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url));
if (calledDirectly) {
  if (ensureInstalled()) prepare(bundledNodePath());
  else process.exitCode = 1;
}

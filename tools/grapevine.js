#!/usr/bin/env node
// @ts-check
/**
 * `grapevine`, as npx finds it: runs scripts/cli.ts on Node 24 or later. Plain JavaScript without dependencies,
 * because it may itself be started by any Node ≥ 20; it then continues on the devDependency `node`.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import module from 'node:module';
import { availableParallelism, constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { bundledNodePath, ensureInstalled, prepare } from './ensure-install.js';
import { prepareEnvironment } from './environment.js';

const NEEDED_MAJOR = 24;
/**
 * For simulations. Most of what a world allocates is garbage within milliseconds, and with V8's default of 16 MiB much of it
 * is moved to the old generation first; and nobody waits for an answer meanwhile, so the old generation is marked in one
 * go, without the barriers and the second looks of marking beside the work. Where there is one core, the collector's helper
 * threads only take turns with the main thread. What each is worth stands in docs/TESTING.md.
 */
const SIM_FLAGS = [
  '--max-semi-space-size=256',
  '--no-incremental-marking',
  ...(availableParallelism() === 1 ? ['--single-threaded-gc'] : []),
];
/** Commands that are worth a second or two before the first of them: those that start a node. */
const NODE_COMMANDS = ['devnet', 'node'];
/** What npm and npx run, to which they append the arguments; npx puts its own quotes. */
const SCRIPTS = /^(node tools\/grapevine\.js|['"]?grapevine['"]?)( |$)/;
/** How often it is looked whether the shell that npm started is still there. */
const PARENT_LOOK_MS = 500;
/** Exit status when the command cannot begin. */
const EXIT_USAGE = 2;

/** @returns {boolean} whether this process has a terminal that sends it Ctrl-C */
function hasTerminal() {
  if (process.platform === 'win32') return true;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts this launcher again on that Node and ends as it ends.
 *
 * @param {string} node
 * @param {readonly string[]} flags
 */
function continueOn(node, flags) {
  const args = [...process.execArgv, ...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(node, args, { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the whole foreground group: the child has it already, and a second one would mean "now".
  const terminal = hasTerminal();
  process.on('SIGINT', () => {
    if (!terminal) child.kill('SIGINT');
  });
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`grapevine: cannot start ${node}: ${error.message}\n`);
    process.exit(EXIT_USAGE);
  });
  // As shells report it: 128 + the signal's number.
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
}

/**
 * npm, npx too, sends its signals to the shell that it runs a script in, and that keeps them to itself: once the shell is gone,
 * what it was told is done here. Only where this is the script itself; what runs below it is not npm's.
 */
function followShellOfNpm() {
  const script = process.env.npm_lifecycle_script ?? '';
  delete process.env.npm_lifecycle_script;
  if (!SCRIPTS.test(script) || process.platform === 'win32') return;
  const shell = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(look);
    process.kill(process.pid, 'SIGTERM');
  }, PARENT_LOOK_MS).unref();
}

followShellOfNpm();
const major = Number.parseInt(process.versions.node, 10);
const flags = process.argv[2] === 'sim' && !SIM_FLAGS.every((flag) => process.execArgv.includes(flag)) ? SIM_FLAGS : [];
if (major >= NEEDED_MAJOR && flags.length > 0) {
  prepareEnvironment();
  continueOn(process.execPath, flags);
} else if (major >= NEEDED_MAJOR) {
  const isHelp = process.argv.some((argument) => argument === '--help' || argument === '-h');
  if (NODE_COMMANDS.includes(process.argv[2] ?? '') && !isHelp) prepare(process.execPath);
  const hook = prepareEnvironment();
  module.enableCompileCache?.(process.env.NODE_COMPILE_CACHE);
  if (hook !== undefined) await import(hook);
  await import('../scripts/cli.ts');
} else if (!existsSync(bundledNodePath()) && !ensureInstalled()) {
  process.exit(EXIT_USAGE);
} else if (!existsSync(bundledNodePath())) {
  process.stderr.write(`grapevine needs Node ${NEEDED_MAJOR} or later; this is ${process.version}\n`);
  process.exit(EXIT_USAGE);
} else {
  prepareEnvironment();
  continueOn(bundledNodePath(), flags);
}

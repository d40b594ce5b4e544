/**
 * Real processes for end-to-end tests: commands, nodes and devnets, each with directories and ports of its own, and
 * all gone after the test, however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSystemClock } from '../../node/adapters.ts';
import { GrapevineClient } from '../../scripts/client.ts';
import { eventually } from '../eventually.ts';
import { withoutGrapevine } from '../run-cli.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const CLI = join(repository, 'tools', 'grapevine.js');
/** The devDependency, which runs the programs whatever runs the tests. */
const NODE = join(repository, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

const clock = createSystemClock();

export interface Exit {
  /** Null where a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Program and arguments of a `grapevine` command. */
export function commandLine(args: readonly string[]): readonly [string, ...string[]] {
  return [NODE, CLI, ...args];
}

/** A running `grapevine` command. */
export class Running {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    const [program, ...rest] = commandLine(args);
    this.child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...withoutGrapevine(process.env), NO_COLOR: '1', ...env },
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // 'close': the output has been read to its end, too.
    this.exited = once(this.child, 'close').then(([status, signal]) => ({ status, signal }));
  }

  get pid(): number {
    return this.child.pid!;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Waits for output on either stream that matches; throws with the output when the command ends before. */
  async says(pattern: RegExp, deadlineMs = 60_000): Promise<RegExpExecArray> {
    const found = await eventually(
      `output ${pattern} of\n${this.stdout}${this.stderr}`,
      () => {
        const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        return match ?? (this.isRunning ? undefined : ('ended' as const));
      },
      deadlineMs,
    );
    if (found === 'ended') throw new Error(`ended without ${pattern}:\n${this.stdout}${this.stderr}`);
    return found;
  }

  /** Sends the signal and waits for the end; throws when it does not come. */
  async end(signal: NodeJS.Signals, deadlineMs = 60_000): Promise<Exit> {
    if (this.isRunning) this.child.kill(signal);
    return this.ends(deadlineMs);
  }

  /** Waits for the end. */
  async ends(deadlineMs = 60_000): Promise<Exit> {
    const timeout = new AbortController();
    const late = clock.sleep(deadlineMs, timeout.signal).then(() => {
      throw new Error(`did not end within ${deadlineMs} ms:\n${this.stdout.slice(-2000)}${this.stderr.slice(-2000)}`);
    });
    try {
      return await Promise.race([this.exited, late]);
    } finally {
      timeout.abort();
      late.catch(() => undefined);
    }
  }

  /** What the node logged: JSON lines on its standard output. */
  logs(): readonly NodeLogLine[] {
    return parseLogs(this.stdout);
  }
}

/** A line that a node writes. */
export interface NodeLogLine {
  readonly level: number;
  readonly msg: string;
  readonly pid: number;
  readonly peer?: string;
}

export function parseLogs(text: string): readonly NodeLogLine[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line));
}

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Everything a test file starts. Call `clean` in `afterAll` or `afterEach`. */
export class Workbench {
  readonly #running: Running[] = [];
  readonly #directories: string[] = [];
  readonly #guards: Server[] = [];

  /** Starts a command. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
    const running = new Running(args, env);
    this.#running.push(running);
    return running;
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
    const running = this.start(args, env);
    const { status } = await running.ends();
    return { status, stdout: running.stdout, stderr: running.stderr };
  }

  async directory(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'grapevine-e2e-'));
    this.#directories.push(path);
    return path;
  }

  /**
   * A base port whose devnet finds the ports above it free. Tests beside this one keep off: the base port itself,
   * which a devnet leaves alone, stays taken here. Below 32768, where systems begin to hand out ports by themselves.
   */
  async basePort(): Promise<number> {
    const slots = 48;
    for (let attempt = 0; attempt < slots; attempt += 1) {
      const base = 20_000 + 250 * ((process.pid + attempt) % slots);
      const guard = await listen(base);
      if (guard === undefined) continue;
      const free = await Promise.all(
        [1, 2, 3, 4, 5, 6, 101, 102, 103, 104, 105].map((offset) => isFree(base + offset)),
      );
      if (free.every(Boolean)) {
        this.#guards.push(guard);
        return base;
      }
      await closeServer(guard);
    }
    throw new Error('no block of free ports');
  }

  /** Kills what runs. */
  async endAll(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((running) => running.end('SIGKILL')));
  }

  /** Ends and removes all. */
  async clean(): Promise<void> {
    await this.endAll();
    for (const directory of this.#directories.splice(0)) {
      // The nodes of a killed devnet stop by themselves.
      for (const pid of await nodePids(directory)) await eventually(`end of node process ${pid}`, () => !isAlive(pid));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
    await Promise.all(this.#guards.splice(0).map(closeServer));
  }
}

/** The processes that have written a devnet's log files. */
export async function nodePids(dataDir: string): Promise<readonly number[]> {
  const pids = new Set<number>();
  for (const name of await readdir(dataDir)) {
    if (!/^node\d+\.log$/.test(name)) continue;
    for (const { pid } of parseLogs(await readFile(join(dataDir, name), 'utf8'))) pids.add(pid);
  }
  return [...pids];
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function clientOf(url: string): GrapevineClient {
  return new GrapevineClient({ url, timeoutMs: 10_000 });
}

/** Sum of `grapevine_internal_errors_total`; 0 where the counter is absent. */
export async function internalErrors(client: GrapevineClient): Promise<number> {
  return metricSum(await client.metrics(), 'grapevine_internal_errors_total');
}

/** Sum of a metric's values over all its labels that include `labels`. */
export function metricSum(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    if (Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`))) {
      sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
  }
  return sum;
}

/** A server on 127.0.0.1; undefined where the port is taken. */
export function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server));
  });
}

export async function closeServer(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server === undefined) return false;
  await closeServer(server);
  return true;
}

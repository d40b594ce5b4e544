/** One node of the devnet as a child process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EXIT, RefusedError, UsageError } from '../exit.ts';
import type { NodeStartedMessage } from '../node.ts';

export interface NodeLaunch {
  readonly index: number;
  readonly dataDir: string;
  readonly logPath: string;
  readonly genesisPath: string;
  readonly apiPort: number;
  readonly p2pPort: number;
  readonly bootstrap: readonly string[];
  readonly extraFlags: readonly string[];
}

/** A node whose API does not answer by then is given up. */
const START_DEADLINE_MS = 60_000;

/**
 * V8's default young generation of 16 MB a half costs every node 24 MB more and collects no cheaper: 70 µs of processor
 * time a transaction with 4 MB, 72 with 2, 78 with 16.
 */
export const NODE_FLAGS: readonly string[] = ['--max-semi-space-size=4'];

/**
 * glibc's malloc otherwise takes ever larger blocks from its arenas, one for each few threads, and seldom gives any back.
 * The Dockerfile sets the same.
 */
const NODE_ENVIRONMENT: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

const CLI = fileURLToPath(new URL('../cli.ts', import.meta.url));

/**
 * May be started again when it has ended, on the same data directory and ports. A process that nobody ends stops by
 * itself when this one is gone.
 */
export class NodeProcess {
  readonly launch: NodeLaunch;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #started: NodeStartedMessage | undefined;
  readonly #onUnexpectedExit: (node: NodeProcess, how: string) => void;

  constructor(launch: NodeLaunch, onUnexpectedExit: (node: NodeProcess, how: string) => void) {
    this.launch = launch;
    this.#onUnexpectedExit = onUnexpectedExit;
  }

  get name(): string {
    return `node${this.launch.index + 1}`;
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${this.launch.apiPort}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#started !== undefined && this.#child !== undefined;
  }

  /**
   * Starts the process; resolves when its API answers. Rejects with what its log says when it dies first: with a
   * {@link UsageError} where the node's flags were wrong, a {@link RefusedError} where it says why else.
   */
  start(): Promise<NodeStartedMessage> {
    const { launch } = this;
    const log = openSync(launch.logPath, 'a');
    const logBegin = fstatSync(log).size;
    const args = [
      ...NODE_FLAGS,
      CLI,
      'node',
      `--name=${this.name}`,
      `--data-dir=${launch.dataDir}`,
      `--genesis=${launch.genesisPath}`,
      `--dev-index=${launch.index}`,
      `--listen=/ip4/127.0.0.1/tcp/${launch.p2pPort}`,
      `--api-port=${launch.apiPort}`,
      `--bootstrap=${launch.bootstrap.join(',')}`,
      '--log-format=json',
      ...launch.extraFlags,
    ];
    // The IPC channel is the leash: a node whose devnet dies, however it dies, sees it close and stops.
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true, // a terminal's Ctrl-C goes to the devnet, which stops its nodes in order
      env: { ...NODE_ENVIRONMENT, ...withoutGrapevine(process.env) },
      windowsHide: true,
    });
    closeSync(log);
    this.#child = child;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        reject(new Error(`${this.name} did not start within ${START_DEADLINE_MS} ms; see ${launch.logPath}`));
        child.kill('SIGKILL');
      }, START_DEADLINE_MS);
      child.once('message', () => clearTimeout(late));
      child.once('exit', () => clearTimeout(late));
      child.on('message', (message: NodeStartedMessage) => {
        this.#started = message;
        resolve(message);
      });
      child.once('error', reject);
      this.#exited = new Promise((exited) => {
        child.once('exit', (code, signal) => {
          const wasStarted = this.#started !== undefined;
          const isExpected = this.#child !== child;
          if (!isExpected) this.#child = undefined;
          this.#started = undefined;
          const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
          if (!wasStarted) reject(this.#whyNotStarted(code, how, logBegin));
          if (wasStarted && !isExpected) this.#onUnexpectedExit(this, how);
          exited();
        });
      });
    });
  }

  #whyNotStarted(code: number | null, how: string, logBegin: number): Error {
    const { logPath } = this.launch;
    const complaint = complaintIn(readFileSync(logPath).subarray(logBegin).toString());
    const why = complaint === undefined ? '' : `: ${complaint}`;
    const message = `${this.name} ended with ${how} before it was ready${why}; see ${logPath}`;
    if (code === EXIT.usage) return new UsageError(message);
    return complaint === undefined ? new Error(message) : new RefusedError('devnet/node-not-started', message);
  }

  /** Ends the process with the signal and waits for it. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined; // from here on its exit is expected
    child.kill(signal);
    await this.#exited;
  }
}

/** The devnet says all by flags: what the user's shell has set for a single node must not leak into five. */
function withoutGrapevine(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GRAPEVINE_')));
}

/**
 * What a node last complained of: in a line of its command, or as an error that it logged.
 *
 * @param log its output
 */
export function complaintIn(log: string): string | undefined {
  for (const line of log.split('\n').toReversed()) {
    const said = /^error: (.*)/.exec(line)?.[1];
    if (said !== undefined) return said;
    if (/^\{.*"level":[56]0,/.test(line)) return messageOf(line);
  }
  return undefined;
}

/** Undefined where the process died while it wrote the line. */
function messageOf(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { readonly msg?: string }).msg;
  } catch {
    return undefined;
  }
}

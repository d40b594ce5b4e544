/**
 * One `docker compose` project of this repository, for a test: started under a name and on ports of its own, asked
 * over its published ports or from inside its containers, and always taken away again.
 */
import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createSystemClock } from '../../node/adapters.ts';
import { GrapevineClient, type SubmitResult } from '../../scripts/client.ts';
import { untilAdmitted } from '../../scripts/until-admitted.ts';

const run = promisify(execFile);
const clock = createSystemClock();
const repository = join(import.meta.dirname, '..', '..');
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const COMMAND_TIMEOUT_MS = 60_000;
/** Building the image included. */
const UP_TIMEOUT_MS = 480_000;
const API_PORT_INSIDE = 7401;
/** A node that still refuses submissions then has not recovered. */
const OVERLOADED_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 10_000;
/** Runs inside a container, where the published port may be out of reach: prints one API answer. */
const FETCH_INSIDE = 'fetch(process.argv[1]).then(async r => console.log(JSON.stringify([r.status, await r.json()])))';

export const NODES = ['node1', 'node2', 'node3', 'node4', 'node5'] as const;
export type NodeName = (typeof NODES)[number];

/** What `docker inspect` says, as far as the tests ask. */
export interface Inspected {
  readonly Id: string;
  readonly Config: { readonly User: string; readonly StopTimeout?: number; readonly StopSignal?: string };
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly Memory: number;
    readonly PidsLimit: number | null;
    readonly CapDrop: readonly string[] | null;
    readonly SecurityOpt: readonly string[] | null;
    readonly PortBindings: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[]>>;
  };
  readonly Mounts: readonly { readonly Type: string; readonly Name?: string; readonly Destination: string }[];
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly Health?: { readonly Status: string };
  };
}

async function freePort(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer();
  await new Promise<void>((resolve, fail) => {
    server.once('error', fail);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was bound');
  return { port: address.port, server };
}

/** Ports that nothing listens on now; all are held until the last is found, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, freePort));
  await Promise.all(held.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return held.map(({ port }) => port);
}

export class ComposeProject {
  readonly name: string;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(name: string, ports: ReadonlyMap<NodeName, number>) {
    this.name = name;
    this.#ports = ports;
    const names = [...ports].map(([node, port]) => [`${node.toUpperCase()}_API_PORT`, String(port)]);
    this.#env = { ...process.env, ...Object.fromEntries(names) };
  }

  /** @param name lower case; nothing else may use it */
  static async create(name: string): Promise<ComposeProject> {
    const ports = await freePorts(NODES.length);
    return new ComposeProject(name, new Map(NODES.map((node, i) => [node, ports[i] as number])));
  }

  async #docker(args: readonly string[], timeoutMs = COMMAND_TIMEOUT_MS): Promise<string> {
    const options = { cwd: repository, env: this.#env, timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES };
    const { stdout } = await run('docker', [...args], options);
    return stdout.trim();
  }

  compose(...args: readonly string[]): Promise<string> {
    return this.#docker(['compose', '-p', this.name, ...args], args[0] === 'up' ? UP_TIMEOUT_MS : COMMAND_TIMEOUT_MS);
  }

  /** Ids of the service's containers, stopped ones included. */
  async containersOf(service: string): Promise<string[]> {
    const ids = await this.compose('ps', '--all', '--quiet', service);
    return ids === '' ? [] : ids.split('\n');
  }

  async containerOf(service: string): Promise<string> {
    const [id, ...more] = await this.containersOf(service);
    if (id === undefined || more.length > 0) throw new Error(`${service} has ${more.length + (id ? 1 : 0)} containers`);
    return id;
  }

  async inspect(container: string): Promise<Inspected> {
    const [inspected] = JSON.parse(await this.#docker(['inspect', container])) as Inspected[];
    if (inspected === undefined) throw new Error(`no container ${container}`);
    return inspected;
  }

  /** Runs a command inside; rejects with its output when its status is not 0. */
  execute(container: string, ...command: readonly string[]): Promise<string> {
    return this.#docker(['exec', container, ...command]);
  }

  /** An API answer over the node's published port. */
  async get<T>(node: NodeName, path: string): Promise<T> {
    const response = await fetch(`${this.url(node)}${path}`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`${node}${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** An API answer asked for inside the container: published ports go away with the network. */
  async getInside<T>(container: string, path: string): Promise<T> {
    const url = `http://127.0.0.1:${API_PORT_INSIDE}${path}`;
    const [status, body] = JSON.parse(await this.execute(container, 'node', '-e', FETCH_INSIDE, url)) as [number, T];
    if (status !== 200) throw new Error(`${container}${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /**
   * Sends again, after as long as it is told, where the node has more to do than it can.
   * @param bytes the canonical encoding of a signed transaction
   */
  submit(node: NodeName, bytes: Uint8Array): Promise<SubmitResult> {
    const client = new GrapevineClient({ url: this.url(node), timeoutMs: ANSWER_TIMEOUT_MS });
    const limit = { untilMs: clock.monotonicMs() + OVERLOADED_TIMEOUT_MS };
    return untilAdmitted(() => client.submit(bytes), clock, new AbortController().signal, limit);
  }

  url(node: NodeName): string {
    return `http://127.0.0.1:${this.#ports.get(node)}`;
  }

  get network(): string {
    return `${this.name}_default`;
  }

  async disconnect(node: NodeName): Promise<void> {
    await this.#docker(['network', 'disconnect', this.network, await this.containerOf(node)]);
  }

  /** The alias is what the others' bootstrap addresses name. */
  async reconnect(node: NodeName): Promise<void> {
    await this.#docker(['network', 'connect', '--alias', node, this.network, await this.containerOf(node)]);
  }

  /**
   * What the engine still has of this project: containers, volumes and networks.
   * @param anonymous names of volumes that carry no project label
   */
  async leftovers(anonymous: readonly string[]): Promise<string[]> {
    const filter = ['--quiet', '--filter', `label=com.docker.compose.project=${this.name}`];
    const lists = await Promise.all([
      this.#docker(['ps', '--all', ...filter]),
      this.#docker(['volume', 'ls', ...filter]),
      this.#docker(['network', 'ls', ...filter]),
    ]);
    const volumes = (await this.#docker(['volume', 'ls', '--quiet'])).split('\n');
    const labelled = lists.flatMap((list) => (list === '' ? [] : list.split('\n')));
    return [...labelled, ...volumes.filter((name) => anonymous.includes(name))];
  }

  /** The containers' states and last lines, for a failed test's output. */
  async printLogs(): Promise<void> {
    for (const args of [
      ['ps', '--all'],
      ['logs', '--no-color', '--tail', '120'],
    ]) {
      const text = await this.compose(...args).catch((error: unknown) => String(error));
      process.stderr.write(`\n--- docker compose ${args.join(' ')}\n${text}\n`);
    }
  }

  async remove(): Promise<void> {
    await this.compose('down', '--volumes', '--remove-orphans', '--timeout', '10');
  }
}

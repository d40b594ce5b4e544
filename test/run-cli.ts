/** The `grapevine` command as a process, from its launcher, which finds compiled code. With nodes: `e2e/process-support.ts`. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const CLI = join(import.meta.dirname, '../tools/grapevine.js');

export interface CliOptions {
  /** Beside what is set here, less what the user's shell has set for a node of theirs. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface CliRun {
  /** Null where a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it came: what is piped on may be no text. */
  readonly stdoutBytes: Uint8Array;
}

export function spawnCli(
  args: readonly string[],
  { env = {}, cwd }: CliOptions = {},
  stdio: NonNullable<SpawnOptions['stdio']> = 'pipe',
): ChildProcess {
  return spawn(process.execPath, [CLI, ...args], {
    stdio,
    cwd,
    env: { ...withoutGrapevine(process.env), NO_COLOR: '1', ...env },
  });
}

/** Runs the command to its end, with `input` and then the end of file on its standard input. */
export async function runCli(
  args: readonly string[],
  options: CliOptions & { readonly input?: Uint8Array | undefined } = {},
): Promise<CliRun> {
  const child = spawnCli(args, options);
  child.stdin!.on('error', () => {}); // it may refuse before it has read all
  child.stdin!.end(options.input);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout!.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr!.on('data', (chunk: Buffer) => err.push(chunk));
  const [status] = await once(child, 'close');
  const stdoutBytes = Buffer.concat(out);
  return { status, stdout: stdoutBytes.toString(), stderr: Buffer.concat(err).toString(), stdoutBytes };
}

/** What the user's shell has set for a node of theirs is not for ours. */
export function withoutGrapevine(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GRAPEVINE_')));
}

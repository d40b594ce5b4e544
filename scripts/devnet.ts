/** `grapevine devnet` (`npm start`): a development network of several nodes on this machine. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { UNITS_PER_COIN } from '../chain/params.ts';
import { formatAddress } from '../crypto/address.ts';
import { bytesToHex } from '../crypto/bytes.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { LOG_LEVELS } from '../node/config.ts';
import type { Clock } from '../node/ports.ts';
import { readInteger, readNumber } from './api-options.ts';
import { DEV_MNEMONIC, DEV_WARNING, devAccounts } from './dev-accounts.ts';
import { Devnet } from './devnet/devnet.ts';
import { type NetworkDir, openNetworkDir } from './devnet/network-dir.ts';
import { Screen } from './devnet/screen.ts';
import { EXIT, SAME_SIGNAL_MS } from './exit.ts';
import { counted } from './output.ts';

interface DevnetFlags {
  readonly nodes?: number;
  readonly blockTime?: number;
  readonly load: number;
  readonly duration?: number;
  readonly warmUp: number;
  readonly json?: boolean;
  readonly fresh?: boolean;
  readonly dataDir: string;
  readonly basePort: number;
  readonly hashBudget: number;
  readonly killEvery?: number;
  readonly logLevel: string;
  readonly nodeArg: readonly string[];
}

const DEFAULTS = { nodes: 5, blockTimeMs: 2000 };
const MAX_NODES = 100;
/** What is asked of the nodes for the display costs them a tenth of what an idle node takes. */
const REFRESH_MS = { terminal: 1000, piped: 5000 } as const;
const SAMPLE_MEMORY_MS = 10_000;

export function addDevnetCommand(program: Command): void {
  program
    .command('devnet')
    .description('run a development network: several nodes on this machine, all mining and voting')
    .option(
      '--nodes <n>',
      `how many nodes (default: ${DEFAULTS.nodes}, or as the network was)`,
      readInteger(1, MAX_NODES),
    )
    .option(
      '--block-time <s>',
      `target seconds between blocks (default: ${DEFAULTS.blockTimeMs / 1000})`,
      readNumber(0.05, 3600),
    )
    .option('--load <tps>', 'send this many transactions per second', readNumber(0, 10_000), 0)
    .option('--duration <s>', 'end by itself after so many seconds', readNumber(1, 31_536_000))
    .option(
      '--warm-up <s>',
      'before the duration: load that counts, but not in rates and latencies; code is compiled meanwhile',
      readNumber(0, 3600),
      0,
    )
    .option(
      '--json',
      'at the end, be it by Ctrl-C, print one JSON object to standard output; all else goes to standard error',
    )
    .option('--fresh', 'begin a new chain; what is in the data directory is removed')
    .option('--data-dir <dir>', 'where the network lives', '.grapevine/devnet')
    .option('--base-port <p>', 'APIs listen on the ports above this one', readInteger(1024, 65_000), 7400)
    .option('--hash-budget <share>', 'share of one core that each miner may use', readNumber(0.001, 1), 0.004)
    .option(
      '--kill-every <s>',
      'kill a random node (SIGKILL) every so many seconds, and start it again',
      readNumber(1, 3600),
    )
    .option('--node-arg <arg>', 'passed on to each node, e.g. --node-arg=--mesh-degree=4; may be repeated', collect, [])
    .addOption(new Option('--log-level <level>', 'of the nodes’ log files').choices(LOG_LEVELS).default('info'))
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine devnet                                    five nodes, until Ctrl-C; again: the same chain goes on
  $ grapevine devnet --fresh --nodes 3 --block-time 1   a new chain of three nodes
  $ grapevine devnet --duration 60 --load 20 --json     a measured minute; exit status 1 if the nodes do not agree
  $ grapevine devnet --load 20 --kill-every 30          watch it heal`,
    )
    .action(async (flags: DevnetFlags) => {
      process.exitCode = await runDevnet(flags);
    });
}

async function runDevnet(flags: DevnetFlags): Promise<number> {
  const clock = createSystemClock();
  const startedAtMs = clock.monotonicMs();
  const screen = new Screen(flags.json === true ? process.stderr : process.stdout);
  const ending = new AbortController();
  const interrupted = new AbortController();
  const offSignals = onSignals(clock, () => {
    interrupted.abort(new Error('interrupted'));
    ending.abort();
  });
  let dir: NetworkDir | undefined;
  let devnet: Devnet | undefined;
  try {
    dir = await openNetworkDir({
      path: resolve(flags.dataDir),
      fresh: flags.fresh === true,
      wanted: {
        nodes: flags.nodes,
        blockTimeMs: flags.blockTime === undefined ? undefined : Math.round(flags.blockTime * 1000),
      },
      defaults: DEFAULTS,
      hashBudget: flags.hashBudget,
      nowMs: clock.nowMs(),
    });
    introduce(dir, screen);
    const starting = interrupted.signal;
    devnet = await Devnet.start({
      dir,
      basePort: flags.basePort,
      hashBudget: flags.hashBudget,
      logLevel: flags.logLevel,
      nodeArgs: flags.nodeArg,
      clock,
      rng: createSystemRng(),
      screen,
      backend: (await loadSignatureBackend('auto')).backend,
      ratePerS: flags.load,
      startedAtMs,
      signal: starting,
    });
    screen.say(`ready in ${await devnet.untilReady(starting)} ms`);
    await live(devnet, flags, clock, screen, ending, interrupted.signal);
    const isUnwanted = (): boolean => flags.json !== true && interrupted.signal.aborted;
    if (isUnwanted()) return EXIT.done; // nobody waits for a verdict after Ctrl-C
    const report = await devnet.settleAndReport(interrupted.signal);
    if (isUnwanted()) return EXIT.done;
    if (flags.json === true) console.log(JSON.stringify(report));
    for (const failure of report.failures) screen.say(`failed: ${failure}`);
    return report.failures.length === 0 ? EXIT.done : EXIT.refused;
  } catch (error) {
    if (interrupted.signal.aborted) return EXIT.done; // what broke is what we stopped
    throw error;
  } finally {
    await devnet?.stop();
    await dir?.release();
    offSignals();
  }
}

/** Runs load, faults and the status display until the duration is over or the user ends it. */
async function live(
  devnet: Devnet,
  flags: DevnetFlags,
  clock: Clock,
  screen: Screen,
  ending: AbortController,
  interrupted: AbortSignal,
): Promise<void> {
  const { signal } = ending;
  const begin = clock.monotonicMs();
  const cancels: (() => void)[] = [];
  if (flags.duration !== undefined) {
    cancels.push(clock.after((flags.warmUp + flags.duration) * 1000, () => ending.abort()));
  }
  if (flags.warmUp > 0) cancels.push(clock.after(flags.warmUp * 1000, () => devnet.traffic.beginMeasuring()));
  // What fails here ends the run in order; the report still comes, and counts it.
  const onFailure = (error: unknown): void => {
    if (signal.aborted) return;
    devnet.noteFailure();
    screen.say(`ending: ${error instanceof Error ? error.message : String(error)}`);
    ending.abort();
  };
  const work = [
    flags.load > 0 ? devnet.sendLoad(signal, interrupted).catch(onFailure) : undefined,
    flags.killEvery === undefined
      ? undefined
      : killInTurn(devnet, flags.killEvery * 1000, clock, signal).catch(onFailure),
  ];
  const rate = new RateMeter();
  const refreshMs = screen.isTerminal ? REFRESH_MS.terminal : REFRESH_MS.piped;
  let sampledAtMs = Number.NEGATIVE_INFINITY;
  try {
    while (!signal.aborted) {
      const rows = await devnet.refresh();
      const nowMs = clock.monotonicMs();
      if (nowMs - sampledAtMs >= SAMPLE_MEMORY_MS) {
        sampledAtMs = nowMs;
        await devnet.sampleMemory();
      }
      screen.show({
        rows,
        txPerSecond: rate.add(nowMs, devnet.traffic.txsInBlocks),
        uptimeMs: nowMs - begin,
      });
      await clock.sleep(refreshMs, signal).catch(() => undefined); // aborted: the condition ends the loop
    }
  } finally {
    for (const cancel of cancels) cancel();
    ending.abort();
    await Promise.all(work);
  }
}

async function killInTurn(devnet: Devnet, everyMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(everyMs, signal).catch(() => undefined); // aborted: checked next
    if (signal.aborted) return;
    await devnet.killAndRestartOne();
  }
}

function introduce(dir: NetworkDir, screen: Screen): void {
  const { genesis, shape, isContinued } = dir;
  screen.say(
    `${isContinued ? 'continuing' : 'new'} network of ${counted(shape.nodes, 'node')}, a block every ${shape.blockTimeMs / 1000} s, chain ${genesis.chainId.slice(0, 16)}…, in ${dir.path}`,
  );
  screen.say(`\nmnemonic: ${DEV_MNEMONIC}`);
  for (const [index, { address, secretKey }] of devAccounts().entries()) {
    const coins = (genesis.accounts.get(address)?.balance ?? 0n) / UNITS_PER_COIN;
    screen.say(`(${index}) ${formatAddress(address)}  ${coins} coins at genesis  0x${bytesToHex(secretKey)}`);
  }
  screen.say(`WARNING: ${DEV_WARNING}\n`);
}

/** Transactions per second over the last ten seconds. */
class RateMeter {
  readonly #samples: { readonly atMs: number; readonly count: number }[] = [];

  add(atMs: number, count: number): number {
    this.#samples.push({ atMs, count });
    while (atMs - this.#samples[0]!.atMs > 10_000) this.#samples.shift();
    const first = this.#samples[0]!;
    return atMs === first.atMs ? 0 : Math.max(0, ((count - first.count) * 1000) / (atMs - first.atMs));
  }
}

/** The first signal ends gracefully; a second one at once, and the nodes see their leash go. */
function onSignals(clock: Clock, end: () => void): () => void {
  let firstAtMs: number | undefined;
  const handler = (): void => {
    const nowMs = clock.monotonicMs();
    if (firstAtMs !== undefined && nowMs - firstAtMs > SAME_SIGNAL_MS) process.exit(EXIT.refused);
    if (firstAtMs !== undefined) return;
    firstAtMs = nowMs;
    end();
  };
  process.on('SIGINT', handler);
  process.on('SIGTERM', handler);
  return () => {
    process.off('SIGINT', handler);
    process.off('SIGTERM', handler);
  };
}

function collect(arg: string, before: readonly string[]): readonly string[] {
  return [...before, arg];
}

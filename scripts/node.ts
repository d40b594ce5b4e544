/** `grapevine node`: runs one node in this process. */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { Option } from 'commander';
import { type Address, addressOf, parseAddress } from '../crypto/address.ts';
import { publicKeyOf } from '../crypto/keys.ts';
import { decryptKeystore } from '../crypto/keystore.ts';
import { BackendError } from '../crypto/load-backend.ts';
import { createSystemRng } from '../node/adapters.ts';
import type { VoterKey } from '../node/agreement/agreement-service.ts';
import {
  CONFIG_OPTIONS,
  ConfigError,
  type ConfigKey,
  type NodeConfig,
  PRESETS,
  type PresetName,
  parseConfig,
  printableConfig,
} from '../node/config.ts';
import { loadOrCreateIdentity } from '../node/identity-file.ts';
import { createLogger } from '../node/logger.ts';
import type { Logger } from '../node/ports.ts';
import { startProcess } from '../node/process.ts';
import { StoreError } from '../node/store/store.ts';
import { DEV_NETWORK, devIdentitySeed, devVoter } from './dev-accounts.ts';
import { EXIT, isPathFault, SAME_SIGNAL_MS, UsageError } from './exit.ts';
import { readGenesis, readJson } from './json-file.ts';
import { loadKeystore } from './keystore-file.ts';
import { givenPassword } from './password.ts';

/** What a node tells the process that started it, over the IPC channel, where there is one. */
export interface NodeStartedMessage {
  readonly type: 'started';
  readonly apiUrl: string;
  readonly peerId: string;
}

/**
 * V8 lets a heap grow to several times what lives in it before it collects. In percent of what lives (ADR 0012); from the
 * end of the start on, as what is loaded until then stays.
 */
const HEAP_GROWING = '--heap-growing-percent=20';
/** Graceful stop must be done by then (Docker's `stop_grace_period` is longer). */
const STOP_DEADLINE_MS = 5000;

export function addNodeCommand(program: Command): void {
  const command = program
    .command('node')
    .description('run one node in the foreground')
    .addOption(new Option('--preset <name>', 'defaults to begin with').choices(Object.keys(PRESETS)).default('devnet'))
    .option('--config <file>', 'JSON file with the same keys as --print-config prints', process.env.GRAPEVINE_CONFIG)
    .option('--print-config', 'print the configuration that would be used, and stop')
    .addOption(
      new Option('--json', 'log a JSON document a line: the same as --log-format json').conflicts('logFormat'),
    );
  for (const key of Object.keys(CONFIG_OPTIONS) as ConfigKey[]) {
    const { flag, env, help, expects } = CONFIG_OPTIONS[key];
    const preset = PRESETS.devnet[key];
    const shown = String(preset) === '' ? 'none' : String(preset);
    command.option(`${flag} <value>`, `${help}; ${expects} [${env}; ${shown}]`);
  }
  command
    .addHelpText(
      'after',
      `
Flags win over the environment, the environment over --config, that over the preset.

Examples:
  $ grapevine make-genesis --voters 1 -o genesis.json
  $ grapevine node --genesis genesis.json --data-dir ./alice --voter-key-file alice.json --voter-password-file pw
  $ GRAPEVINE_API_PORT=7410 grapevine node --genesis genesis.json --mine off
  $ grapevine node --print-config --log-level debug`,
    )
    .action(async (options: Record<string, unknown>) => {
      try {
        await runNodeCommand(options);
      } catch (error) {
        if (process.connected) process.disconnect(); // the channel would keep a node alive that has not started
        throw error;
      }
    });
}

async function runNodeCommand(options: Record<string, unknown>): Promise<void> {
  const { preset, config: path, printConfig, json, ...flags } = options;
  if (json === true) flags.logFormat = 'json';
  const config = await readConfig(flags, preset as PresetName, path as string | undefined);
  if (printConfig === true) {
    console.log(JSON.stringify(printableConfig(config), null, 2));
    return;
  }
  // The process that started us may end before we have started.
  const onOrphaned = (): void => process.exit(process.exitCode ?? EXIT.refused);
  if (process.send !== undefined && !process.connected) onOrphaned();
  process.on('disconnect', onOrphaned);
  const logger = createLogger({ level: config.logLevel, format: config.logFormat, bindings: { node: config.name } });
  const genesis = await readGenesis(config.genesis || join(config.dataDir, 'genesis.json')).catch((error: unknown) => {
    if (config.genesis !== '' || !(error instanceof UsageError)) throw error;
    throw new UsageError(`${error.message}; --genesis names another file, and \`grapevine make-genesis\` makes one`);
  });
  const voter = await readVoter(config, genesis.doc.name);
  const identitySeed =
    config.devIndex >= 0
      ? devIdentitySeed(config.devIndex)
      : await loadOrCreateIdentity(join(config.dataDir, 'identity.key'), (length) => createSystemRng().bytes(length));
  const minerAddress = readMinerAddress(config) ?? voter?.address;
  if (minerAddress === undefined && config.mine !== 'off') {
    logger.info({}, 'not mining: neither a voter key nor --miner-address is given');
  }
  try {
    const running = await startProcess({
      config,
      genesis,
      identitySeed,
      voter: config.vote ? voter : undefined,
      minerAddress,
      logger,
    });
    process.off('disconnect', onOrphaned);
    stopOnSignal(running.stop, logger);
    setFlagsFromString(HEAP_GROWING);
    const { apiUrl, peerId, addresses } = running;
    logger.info({ api: apiUrl, peerId, addresses, chainId: genesis.chainId }, 'started');
    process.send?.({ type: 'started', apiUrl, peerId } satisfies NodeStartedMessage);
  } catch (error) {
    const isUsage = isPathFault(error);
    const known =
      isUsage ||
      error instanceof StoreError ||
      error instanceof BackendError ||
      (error as { code?: unknown }).code === 'EADDRINUSE';
    logger.error(known ? {} : { err: error }, error instanceof Error ? error.message : String(error));
    process.off('disconnect', onOrphaned);
    process.exitCode = isUsage ? EXIT.usage : EXIT.refused;
    if (process.connected) process.disconnect();
  }
}

/** SIGTERM, SIGINT, and the end of the process that started us. A second signal does not wait. */
function stopOnSignal(stop: () => Promise<void>, logger: Logger): void {
  let stoppingSinceMs: number | undefined;
  const end = (why: string): void => {
    const nowMs = performance.now();
    if (stoppingSinceMs !== undefined && nowMs - stoppingSinceMs > SAME_SIGNAL_MS) process.exit(EXIT.refused);
    if (stoppingSinceMs !== undefined) return;
    stoppingSinceMs = nowMs;
    logger.info({ why }, 'stopping');
    // Not unref'd on purpose: it must fire even when something keeps the loop busy.
    const timer = setTimeout(() => {
      logger.error({ deadlineMs: STOP_DEADLINE_MS }, 'did not stop in time');
      process.exit(EXIT.refused);
    }, STOP_DEADLINE_MS);
    stop()
      .then(() => logger.info({}, 'stopped'))
      .catch((error: unknown) => {
        logger.error({ err: error }, 'failed to stop cleanly');
        process.exitCode = EXIT.refused;
      })
      .finally(() => {
        clearTimeout(timer);
        process.exit();
      });
  };
  process.on('SIGTERM', () => end('SIGTERM'));
  process.on('SIGINT', () => end('SIGINT'));
  process.on('disconnect', () => end('the parent process is gone'));
}

async function readConfig(
  flags: Record<string, unknown>,
  preset: PresetName,
  path: string | undefined,
): Promise<NodeConfig> {
  try {
    const file = path === undefined ? {} : { file: { path, values: await readJson(path) } };
    return parseConfig({ flags, env: process.env, preset, ...file });
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(error.message);
    throw error;
  }
}

async function readVoter(config: NodeConfig, network: string): Promise<VoterKey | undefined> {
  if (config.devIndex >= 0) {
    if (network !== DEV_NETWORK) {
      throw new UsageError(
        `--dev-index is for networks named "${DEV_NETWORK}": its keys are published; this one is "${network}"`,
      );
    }
    return devVoter(config.devIndex);
  }
  if (config.voterKeyFile === '') return undefined;
  const password = await givenPassword(config.voterPasswordFile === '' ? undefined : config.voterPasswordFile);
  if (password === undefined) {
    throw new UsageError('--voter-key-file needs --voter-password-file or GRAPEVINE_PASSWORD');
  }
  const secretKey = await decryptKeystore(await loadKeystore(config.voterKeyFile), password);
  const publicKey = publicKeyOf(secretKey);
  return { secretKey, publicKey, address: addressOf(publicKey) };
}

function readMinerAddress(config: NodeConfig): Address | undefined {
  if (config.minerAddress === '') return undefined;
  const parsed = parseAddress(config.minerAddress);
  if (!parsed.ok) throw new UsageError(`--miner-address: ${parsed.error}`);
  return parsed.address;
}

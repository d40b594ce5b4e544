/**
 * The node's configuration: one table of options, from which flags, environment names, file keys, defaults and
 * checks follow. Precedence: flags > environment (`GRAPEVINE_*`) > file > preset.
 */

import { DEFAULT_MEMPOOL_BYTES } from '../chain/mempool.ts';
import { type BackendChoice, SIGNATURE_BACKENDS } from '../crypto/load-backend.ts';
import { MINE_MODES, type MineMode } from './mining/mine-modes.ts';
import { parsePeerAddress } from './net/peer-address.ts';
import { TX_LINGER_MS } from './pipeline/tx-batcher.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface NodeConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly genesis: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly bootstrap: readonly string[];
  readonly targetPeers: number;
  readonly maxPeers: number;
  readonly trustPrivateRanges: boolean;
  readonly heartbeatMs: number;
  readonly meshDegree: number;
  readonly closedNet: boolean;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly adminToken: string;
  readonly voterKeyFile: string;
  readonly voterPasswordFile: string;
  readonly devIndex: number;
  readonly vote: boolean;
  readonly mine: MineMode;
  readonly mineIntervalMs: number;
  readonly minerAddress: string;
  readonly hashBudget: number;
  readonly mempoolMaxBytes: number;
  readonly txLingerMs: number;
  readonly signatureBackend: BackendChoice;
  /** `auto`: the cores of this machine but one, at least one. 0: none, signatures are checked on the event loop. */
  readonly verifyWorkers: number | 'auto';
  readonly logLevel: LogLevel;
  readonly logFormat: 'auto' | 'json' | 'pretty';
}

export type ConfigKey = keyof NodeConfig;

/** What is wrong with the configuration; the message names the key and where it came from. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

interface Option<T> {
  readonly flag: string;
  readonly env: string;
  readonly help: string;
  readonly secret?: boolean;
  /** Takes the raw value (text from flag or environment, JSON from a file); returns undefined when it is bad. */
  readonly parse: (raw: unknown) => T | undefined;
  /** What a good value looks like, for the error message. */
  readonly expects: string;
}

const text = (raw: unknown): string | undefined => (typeof raw === 'string' ? raw : undefined);
const list = (raw: unknown): readonly string[] | undefined => {
  if (typeof raw === 'string') return raw === '' ? [] : raw.split(',').map((item) => item.trim());
  return Array.isArray(raw) && raw.every((item) => typeof item === 'string') ? raw : undefined;
};
const flag = (raw: unknown): boolean | undefined => {
  if (typeof raw === 'boolean') return raw;
  return raw === 'true' ? true : raw === 'false' ? false : undefined;
};
const number =
  (min: number, max: number, integer: boolean) =>
  (raw: unknown): number | undefined => {
    const value =
      typeof raw === 'number' ? raw : typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : Number.NaN;
    return value >= min && value <= max && (!integer || Number.isInteger(value)) ? value : undefined;
  };
const oneOf =
  <T extends string>(values: readonly T[]) =>
  (raw: unknown): T | undefined =>
    values.find((value) => value === raw);
const isPeerAddress = (raw: string): boolean => {
  try {
    parsePeerAddress(raw);
    return true;
  } catch {
    return false; // the option says what is expected
  }
};
const multiaddrs = (raw: unknown): readonly string[] | undefined => {
  const items = list(raw);
  return items?.every(isPeerAddress) ? items : undefined;
};

function integer(min: number, max: number): Pick<Option<number>, 'parse' | 'expects'> {
  return { parse: number(min, max, true), expects: `a whole number from ${min} to ${max}` };
}

function choice<T extends string>(values: readonly T[]): Pick<Option<T>, 'parse' | 'expects'> {
  return { parse: oneOf(values), expects: `one of ${values.join(', ')}` };
}

const MULTIADDRS = {
  parse: multiaddrs,
  expects: 'multiaddrs such as /ip4/127.0.0.1/tcp/7501/p2p/12D3…, separated by commas',
};
const BOOLEAN = { parse: flag, expects: 'true or false' };
const PATH = { parse: (raw: unknown) => text(raw) || undefined, expects: 'a path' };
const TEXT = { parse: text, expects: 'text' };

export const CONFIG_OPTIONS: { readonly [K in ConfigKey]: Option<NodeConfig[K]> } = {
  name: { ...opt('name'), ...TEXT, help: 'name in logs and status' },
  dataDir: { ...opt('data-dir'), ...PATH, help: 'directory of this node: store, identity, logs' },
  genesis: { ...opt('genesis'), ...TEXT, help: 'genesis file; all nodes of a net need the same' },
  listen: { ...opt('listen'), ...MULTIADDRS, help: 'addresses to accept peers on' },
  announce: { ...opt('announce'), ...MULTIADDRS, help: 'addresses told to peers instead of those listened on' },
  bootstrap: { ...opt('bootstrap'), ...MULTIADDRS, help: 'peers to dial first' },
  targetPeers: { ...opt('target-peers'), ...integer(0, 200), help: 'outbound connections to keep' },
  maxPeers: { ...opt('max-peers'), ...integer(1, 1000), help: 'connections at most' },
  trustPrivateRanges: {
    ...opt('trust-private-ranges'),
    ...BOOLEAN,
    help: 'do not count many peers behind one loopback or private address against them',
  },
  heartbeatMs: { ...opt('heartbeat-ms'), ...integer(100, 10_000), help: 'gossipsub heartbeat' },
  meshDegree: { ...opt('mesh-degree'), ...integer(2, 12), help: "gossipsub's D: mesh peers per topic" },
  closedNet: {
    ...opt('closed-net'),
    ...BOOLEAN,
    help: 'the bootstrap peers, all with /p2p/<id>, are all there are, each connected with all: few take a thinner mesh',
  },
  apiHost: {
    ...opt('api-host'),
    ...TEXT,
    help: 'address that the HTTP API binds: 127.0.0.1 for this machine alone, 0.0.0.0 for all',
  },
  apiPort: { ...opt('api-port'), ...integer(0, 65_535), help: 'port of the HTTP API; 0 picks a free one' },
  adminToken: { ...opt('admin-token'), ...TEXT, secret: true, help: 'bearer token of administrative calls' },
  voterKeyFile: { ...opt('voter-key-file'), ...TEXT, help: 'keystore of the key that votes and is paid for blocks' },
  voterPasswordFile: { ...opt('voter-password-file'), ...TEXT, help: 'file with the password of that keystore' },
  devIndex: {
    ...opt('dev-index'),
    ...integer(-1, 999),
    help: 'use development identity and voter key N (devnet only); -1: none',
  },
  vote: { ...opt('vote'), ...BOOLEAN, help: 'vote, where the key is in the electorate' },
  mine: { ...opt('mine'), ...choice(MINE_MODES), help: 'when to mine' },
  mineIntervalMs: {
    ...opt('mine-interval-ms'),
    ...integer(10, 3_600_000),
    help: 'pause between blocks in interval mode',
  },
  minerAddress: { ...opt('miner-address'), ...TEXT, help: 'who is paid for mined blocks; default: the voter key' },
  hashBudget: {
    ...opt('hash-budget'),
    parse: number(0.001, 1, false),
    expects: 'a share of one core from 0.001 to 1',
    help: 'share of one core that mining may use',
  },
  mempoolMaxBytes: { ...opt('mempool-max-bytes'), ...integer(10_000, 4_294_967_296), help: 'mempool size at most' },
  txLingerMs: {
    ...opt('tx-linger-ms'),
    ...integer(0, 1000),
    help: 'longest that a transaction waits for others to share its gossip message; 0: each goes alone',
  },
  signatureBackend: {
    ...opt('signature-backend'),
    ...choice(['auto', ...SIGNATURE_BACKENDS] as const),
    help: 'implementation that checks signatures; auto: the fastest that runs here',
  },
  verifyWorkers: {
    ...opt('verify-workers'),
    parse: (raw) => (raw === 'auto' ? raw : number(0, 64, true)(raw)),
    expects: 'auto or a whole number from 0 to 64',
    help: 'threads that check signatures, started when needed; auto: cores but one; 0: none',
  },
  logLevel: { ...opt('log-level'), ...choice(LOG_LEVELS), help: 'least severe level logged' },
  logFormat: {
    ...opt('log-format'),
    ...choice(['auto', 'json', 'pretty'] as const),
    help: 'auto: pretty on a terminal',
  },
};

function opt(name: string): { readonly flag: string; readonly env: string } {
  return { flag: `--${name}`, env: `GRAPEVINE_${name.toUpperCase().replaceAll('-', '_')}` };
}

const DEVNET: NodeConfig = {
  name: 'grapevine',
  dataDir: '.grapevine/node',
  genesis: '',
  listen: ['/ip4/127.0.0.1/tcp/0'],
  announce: [],
  bootstrap: [],
  targetPeers: 8,
  maxPeers: 100,
  trustPrivateRanges: true,
  heartbeatMs: 500,
  meshDegree: 3,
  closedNet: false,
  apiHost: '127.0.0.1',
  apiPort: 7401,
  adminToken: '',
  voterKeyFile: '',
  voterPasswordFile: '',
  devIndex: -1,
  vote: true,
  mine: 'continuous',
  mineIntervalMs: 2000,
  minerAddress: '',
  hashBudget: 0.004,
  mempoolMaxBytes: DEFAULT_MEMPOOL_BYTES,
  txLingerMs: TX_LINGER_MS,
  signatureBackend: 'auto',
  verifyWorkers: 'auto',
  logLevel: 'info',
  logFormat: 'auto',
};

/** Defaults by net. `devnet` suits many nodes on one machine; `public` strangers, each on a machine of their own. */
export const PRESETS = {
  devnet: DEVNET,
  public: {
    ...DEVNET,
    targetPeers: 12,
    maxPeers: 128,
    trustPrivateRanges: false,
    heartbeatMs: 700,
    meshDegree: 4,
    mine: 'off',
  },
} as const satisfies Record<string, NodeConfig>;

export type PresetName = keyof typeof PRESETS;

export interface ConfigSources {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Parsed JSON of the configuration file. */
  readonly file?: { readonly path: string; readonly values: unknown };
  readonly preset?: PresetName;
}

const KEYS = Object.keys(CONFIG_OPTIONS) as ConfigKey[];
/** Environment names that are read elsewhere: by the command line and the launcher. */
const OTHER_ENV = new Set(['GRAPEVINE_API', 'GRAPEVINE_PASSWORD', 'GRAPEVINE_MNEMONIC', 'GRAPEVINE_CONFIG']);

/** Merges the sources and checks every value, and what must go together. Throws {@link ConfigError}, naming key and source. */
export function parseConfig(sources: ConfigSources): NodeConfig {
  const merged: Record<string, unknown> = { ...PRESETS[sources.preset ?? 'devnet'] };
  const origins = new Map<ConfigKey, string>();
  const set = (key: ConfigKey, raw: unknown, origin: string): void => {
    const option = CONFIG_OPTIONS[key];
    const value = option.parse(raw);
    if (value === undefined) {
      const shown = option.secret ? '(hidden)' : JSON.stringify(raw);
      throw new ConfigError(`${origin}: ${shown} is not good for "${key}": expected ${option.expects}`);
    }
    merged[key] = value;
    origins.set(key, origin);
  };

  if (sources.file !== undefined) {
    const { path, values } = sources.file;
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      throw new ConfigError(`${path}: expected a JSON object`);
    }
    for (const [key, raw] of Object.entries(values)) set(knownKey(key, path), raw, path);
  }
  for (const [name, raw] of Object.entries(sources.env)) {
    if (!name.startsWith('GRAPEVINE_') || OTHER_ENV.has(name) || raw === undefined) continue;
    const key = KEYS.find((candidate) => CONFIG_OPTIONS[candidate].env === name);
    if (key === undefined)
      throw new ConfigError(
        `environment: unknown variable ${name}${nearest(
          name,
          KEYS.map((k) => CONFIG_OPTIONS[k].env),
        )}`,
      );
    set(key, raw, `environment ${name}`);
  }
  for (const [key, raw] of Object.entries(sources.flags)) {
    if (raw === undefined) continue;
    set(knownKey(key, 'flags'), raw, CONFIG_OPTIONS[knownKey(key, 'flags')].flag);
  }
  const config = merged as unknown as NodeConfig;
  checkClosedNet(config, (key) => origins.get(key) ?? CONFIG_OPTIONS[key].flag);
  return config;
}

/** The mesh of a closed net is made of peers that are known by name. */
function checkClosedNet({ closedNet, bootstrap }: NodeConfig, originOf: (key: ConfigKey) => string): void {
  if (!closedNet) return;
  if (bootstrap.length === 0) {
    const { flag } = CONFIG_OPTIONS.bootstrap;
    throw new ConfigError(`${originOf('closedNet')}: a closed net has bootstrap peers, and ${flag} names none`);
  }
  const unnamed = bootstrap.find((address) => !/\/p2p\/\w+$/.test(address));
  if (unnamed !== undefined) {
    throw new ConfigError(
      `${originOf('bootstrap')}: "${unnamed}" ends without /p2p/<id>, which a closed net needs of every peer ` +
        `(${originOf('closedNet')})`,
    );
  }
}

/** The configuration as it is printed by `--print-config`: secrets hidden. */
export function printableConfig(config: NodeConfig): Record<string, unknown> {
  return Object.fromEntries(
    KEYS.map((key) => [key, CONFIG_OPTIONS[key].secret && config[key] !== '' ? '(hidden)' : config[key]]),
  );
}

function knownKey(key: string, origin: string): ConfigKey {
  const known = KEYS.find((candidate) => candidate === key);
  if (known === undefined) throw new ConfigError(`${origin}: unknown key "${key}"${nearest(key, KEYS)}`);
  return known;
}

/** " (did you mean …?)" where one of the names is two letters away at most, whatever their case. */
function nearest(name: string, names: readonly string[]): string {
  const near = names.find((candidate) => distance(candidate.toLowerCase(), name.toLowerCase()) <= 2);
  return near === undefined ? '' : ` (did you mean ${near}?)`;
}

/** Levenshtein distance; names are short. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

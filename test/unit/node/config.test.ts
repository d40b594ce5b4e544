import { describe, expect, test } from 'vitest';
import {
  CONFIG_OPTIONS,
  ConfigError,
  type ConfigKey,
  type ConfigSources,
  PRESETS,
  parseConfig,
  printableConfig,
} from '../../../node/config.ts';

/** Of some node: what matters is that it is one. */
const PEER = '12D3KooWQ3QoZYnjXQHrtHR82jnc1n8MPj5uoR3JEFoSPiJmPJaL';
const KEYS = Object.keys(CONFIG_OPTIONS) as ConfigKey[];

function parse(sources: Partial<ConfigSources>): ReturnType<typeof parseConfig> {
  return parseConfig({ flags: {}, env: {}, ...sources });
}

function errorOf(sources: Partial<ConfigSources>): string {
  try {
    parse(sources);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('no error');
}

describe('the table of options', () => {
  test('every option has a flag, an environment name, a help text and a default that its own check takes', () => {
    expect(KEYS.sort()).toEqual(Object.keys(PRESETS.devnet).sort());
    for (const key of KEYS) {
      const option = CONFIG_OPTIONS[key];
      const words = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      expect(option.flag).toBe(`--${words}`);
      expect(option.env).toBe(`GRAPEVINE_${words.toUpperCase().replaceAll('-', '_')}`);
      expect(option.help.length).toBeGreaterThan(5);
      for (const preset of Object.values(PRESETS)) expect(option.parse(preset[key]), key).toEqual(preset[key]);
    }
  });

  test.each(KEYS)('%s can be set as text, as environment and flags give it', (key) => {
    const value = PRESETS.devnet[key];
    const raw = Array.isArray(value) ? value.join(',') : String(value);
    expect(CONFIG_OPTIONS[key].parse(raw)).toEqual(value);
  });
});

describe('precedence', () => {
  const file = { path: 'node.json', values: { name: 'file', apiPort: 1, maxPeers: 11 } };
  const env = { GRAPEVINE_NAME: 'env', GRAPEVINE_API_PORT: '2' };

  test('flags > environment > file > preset', () => {
    expect(parse({})).toEqual(PRESETS.devnet);
    expect(parse({ preset: 'public' })).toEqual(PRESETS.public);
    expect(parse({ file })).toMatchObject({ name: 'file', apiPort: 1, maxPeers: 11 });
    expect(parse({ file, env })).toMatchObject({ name: 'env', apiPort: 2, maxPeers: 11 });
    expect(parse({ file, env, flags: { name: 'flag' } })).toMatchObject({ name: 'flag', apiPort: 2, maxPeers: 11 });
  });

  test('a flag that was not given, and a variable of somebody else, change nothing', () => {
    expect(parse({ flags: { name: undefined }, env: { PATH: '/bin', GRAPEVINE_API: 'http://x' } })).toEqual(
      PRESETS.devnet,
    );
  });
});

describe('what is wrong names itself', () => {
  test.each([
    [
      'file',
      { file: { path: 'node.json', values: { apiProt: 1 } } },
      /^node\.json: unknown key "apiProt" \(did you mean apiPort\?\)$/,
    ],
    [
      'environment',
      { env: { GRAPEVINE_API_PROT: '1' } },
      /^environment: unknown variable GRAPEVINE_API_PROT \(did you mean GRAPEVINE_API_PORT\?\)$/,
    ],
    ['flags', { flags: { nonsense: 1 } }, /^flags: unknown key "nonsense"$/],
    ['a file that is no object', { file: { path: 'node.json', values: [1] } }, /^node\.json: expected a JSON object$/],
  ] as const)('an unknown key: %s', (_where, sources, message) => {
    expect(errorOf(sources)).toMatch(message);
  });

  test.each([
    ['apiPort', '65536', /expected a whole number from 0 to 65535$/],
    ['apiPort', '80.5', /expected a whole number/],
    ['apiPort', '', /expected a whole number/],
    ['apiPort', 'eighty', /expected a whole number/],
    ['hashBudget', '0', /expected a share of one core from 0.001 to 1$/],
    ['hashBudget', 'NaN', /expected a share/],
    ['mine', 'sometimes', /expected one of continuous, interval, on-demand, off$/],
    ['vote', 'yes', /expected true or false$/],
    ['listen', '127.0.0.1:80', /expected multiaddrs/],
    ['bootstrap', '/ip4/1.2.3.4/udp/1', /expected multiaddrs/],
    ['bootstrap', '/ip4/1.2.3.4/tcp/1,/ip4/300.1.1.1/tcp/2', /"\/ip4\/1\.2\.3\.4.*\/ip4\/300\.1\.1\.1\/tcp\/2"/],
    ['bootstrap', '/ip4/1.2.3.4/tcp/65536', /expected multiaddrs/],
    ['bootstrap', '/ip6/1.2.3.4/tcp/1', /expected multiaddrs/],
    ['bootstrap', '/ip4/1.2.3.4/tcp/1/p2p/', /expected multiaddrs/],
    ['bootstrap', '/ip4/1.2.3.4/tcp/1/p2p/12D3KooWnobody', /expected multiaddrs/],
    ['announce', '/dns4/has space/tcp/1', /expected multiaddrs/],
    ['announce', 'seed.example:7501', /expected multiaddrs/],
    ['dataDir', '', /expected a path$/],
    ['logLevel', 'loud', /expected one of debug, info/],
  ] as const)('a bad value: %s = %s', (key, raw, message) => {
    const { env, flag } = CONFIG_OPTIONS[key];
    const shown = `${JSON.stringify(raw)} is not good for "${key}"`;
    expect(errorOf({ env: { [env]: raw } })).toMatch(message);
    expect(errorOf({ env: { [env]: raw } })).toContain(`environment ${env}: ${shown}`);
    expect(errorOf({ flags: { [key]: raw } })).toContain(`${flag}: ${shown}`);
    expect(errorOf({ file: { path: 'f.json', values: { [key]: raw } } })).toContain(`f.json: ${shown}`);
  });

  test('a bad secret is not repeated', () => {
    const message = errorOf({ file: { path: 'f.json', values: { adminToken: 12345 } } });
    expect(message).toContain('(hidden)');
    expect(message).not.toContain('12345');
  });
});

describe('a closed net needs a name of each bootstrap peer', () => {
  const named = `/ip4/1.2.3.4/tcp/1/p2p/${PEER}`;
  const unnamed = '/ip4/1.2.3.4/tcp/1';

  test('without any, or with one that has no name, it is refused, wherever the two come from', () => {
    expect(errorOf({ flags: { closedNet: 'true' } })).toBe(
      '--closed-net: a closed net has bootstrap peers, and --bootstrap names none',
    );
    expect(errorOf({ env: { GRAPEVINE_CLOSED_NET: 'true' }, flags: { bootstrap: '' } })).toMatch(
      /^environment GRAPEVINE_CLOSED_NET: /,
    );
    expect(errorOf({ flags: { closedNet: 'true', bootstrap: `${named},${unnamed}` } })).toBe(
      `--bootstrap: "${unnamed}" ends without /p2p/<id>, which a closed net needs of every peer (--closed-net)`,
    );
    expect(
      errorOf({
        file: { path: 'f.json', values: { bootstrap: [unnamed], closedNet: false } },
        flags: { closedNet: true },
      }),
    ).toMatch(/^f\.json: .*\(--closed-net\)$/);
  });

  test('with all of them it is taken, as is an open one with none', () => {
    expect(parse({ flags: { closedNet: 'true', bootstrap: named } })).toMatchObject({ closedNet: true });
    expect(parse({ flags: { bootstrap: unnamed } })).toMatchObject({ bootstrap: [unnamed] });
    const file = { path: 'f.json', values: { closedNet: true } };
    expect(parse({ file, flags: { closedNet: 'false' } })).toMatchObject({ closedNet: false });
  });
});

test('a printed configuration hides secrets, and says when there is none', () => {
  expect(printableConfig(parse({ flags: { adminToken: 'hunter2' } })).adminToken).toBe('(hidden)');
  expect(JSON.stringify(printableConfig(parse({ flags: { adminToken: 'hunter2' } })))).not.toContain('hunter2');
  expect(printableConfig(PRESETS.devnet)).toEqual({ ...PRESETS.devnet });
});

test('lists take commas and blanks, and an empty text is an empty list', () => {
  const env = {
    GRAPEVINE_BOOTSTRAP: `/ip4/1.2.3.4/tcp/1, /dns4/seed.example/tcp/2/p2p/${PEER}`,
    GRAPEVINE_LISTEN: '',
  };
  const config = parse({ env });
  expect(config.bootstrap).toEqual(['/ip4/1.2.3.4/tcp/1', `/dns4/seed.example/tcp/2/p2p/${PEER}`]);
  expect(config.listen).toEqual([]);
});

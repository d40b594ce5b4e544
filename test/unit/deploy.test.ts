import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseGenesis } from '../../chain/genesis.ts';
import { UNITS_PER_COIN } from '../../chain/params.ts';
import { CONFIG_OPTIONS, parseConfig } from '../../node/config.ts';
import { peerIdOfSeed } from '../../node/net/identity.ts';
import { networkOptions } from '../../node/network-options.ts';
import { DEV_NETWORK, devAccounts, devIdentitySeed, devVoter } from '../../scripts/dev-accounts.ts';
import { importsOf } from './import-graph.ts';

const NODES = [0, 1, 2, 3, 4];

const repository = join(import.meta.dirname, '..', '..');

function load(...path: string[]): string {
  return readFileSync(join(repository, ...path), 'utf8');
}

describe('docker-compose.yml', () => {
  const compose = load('docker-compose.yml');

  it('bootstraps from the peer ids of the development identities', () => {
    const addresses = [...compose.matchAll(/\/dns4\/(node\d)\/tcp\/7501\/p2p\/(\w+)/g)].map(([, name, id]) => [
      name,
      id,
    ]);
    expect(addresses).toEqual(NODES.map((node) => [`node${node + 1}`, peerIdOfSeed(devIdentitySeed(node))]));
  });

  it('tells each voter that the five voters are a closed net, and an observer nothing of the kind', () => {
    interface Service {
      readonly environment: Readonly<Record<string, string | null>>;
    }
    const { services } = parse(compose, { merge: true }) as { readonly services: Readonly<Record<string, Service>> };
    const closedNets = Object.entries(services).map(([name, { environment }]) => {
      // Without a value: passed on from the shell, which has none.
      const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== null));
      return [name, networkOptions(parseConfig({ flags: {}, env: env as Record<string, string> })).gossip.closedNet];
    });
    const voters = NODES.map((node) => peerIdOfSeed(devIdentitySeed(node)));
    expect(closedNets).toEqual([...NODES.map((node) => [`node${node + 1}`, voters]), ['observer', []]]);
  });

  it('sets only what the configuration knows', () => {
    const known = new Set<string>(Object.values(CONFIG_OPTIONS).map((option) => option.env));
    const used = [...`${compose}${load('Dockerfile')}`.matchAll(/\bGRAPEVINE_[A-Z_]+/g)].map(([name]) => name);
    expect(used.length).toBeGreaterThan(10);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('the image', () => {
  const dockerfile = load('Dockerfile');
  const imported = ['crypto', 'chain', 'node', 'sim', 'scripts'].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => importsOf(load(folder, name)).map((specifier) => ({ file: `${folder}/${name}`, specifier }))),
  );

  it('has every folder and file that its commands load', () => {
    const places = imported.flatMap(({ file, specifier }) =>
      specifier.startsWith('.') ? [posix.join(posix.dirname(file), specifier).split('/')[0]!] : [],
    );
    const [files, folders] = [true, false].map(
      (isFile) => new Set(places.filter((each) => each.includes('.') === isFile)),
    );
    const copied = [...dockerfile.matchAll(/^COPY (\w+) \.\/\1$/gm)].map(([, folder]) => folder);
    expect(new Set(copied)).toEqual(folders);
    for (const file of files!) expect(dockerfile).toMatch(new RegExp(`^COPY ${file} \\./$`, 'm'));
    const ignored = load('.dockerignore');
    for (const each of new Set(places)) expect(ignored).toMatch(new RegExp(`^!${each}$`, 'm'));
  });

  it('has every package that they load: it is installed without what only developers need', () => {
    const { dependencies } = JSON.parse(load('package.json')) as { readonly dependencies: Record<string, string> };
    const missing = imported.filter(({ specifier }) => {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) return false;
      return !(/^(@[^/]+\/)?[^/]+/.exec(specifier)![0] in dependencies);
    });
    expect(missing).toEqual([]);
  });
});

describe('deploy/devnet.genesis.json', () => {
  const genesis = parseGenesis(JSON.parse(load('deploy', 'devnet.genesis.json')));

  it('is the devnet, whose voters are the five development voters', () => {
    expect(genesis.doc.name).toBe(DEV_NETWORK);
    expect(new Set(genesis.electorate)).toEqual(new Set(NODES.map((node) => devVoter(node).address)));
  });

  it('funds the ten development accounts with 10,000 coins each', () => {
    for (const { address } of devAccounts())
      expect(genesis.accounts.get(address)?.balance).toBe(10_000n * UNITS_PER_COIN);
  });

  it('leaves every node room for a block timestamp: the genesis is not in the future', () => {
    expect(genesis.block.header.timestampMs).toBeLessThan(BigInt(Date.now()));
  });
});

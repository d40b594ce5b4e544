import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseGenesis } from '../../chain/genesis.ts';
import { CONFIG_OPTIONS } from '../../node/config.ts';
import { peerIdOfSeed } from '../../node/net/identity.ts';
import { DEV_NETWORK, devAccounts, devIdentitySeed, devVoter } from '../../scripts/dev-accounts.ts';

const NODES = [0, 1, 2, 3, 4];

function load(...path: string[]): string {
  return readFileSync(join(import.meta.dirname, '..', '..', ...path), 'utf8');
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

  it('sets only what the configuration knows', () => {
    const known = new Set<string>(Object.values(CONFIG_OPTIONS).map((option) => option.env));
    const used = [...`${compose}${load('Dockerfile')}`.matchAll(/\bGRAPEVINE_[A-Z_]+/g)].map(([name]) => name);
    expect(used.length).toBeGreaterThan(10);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('deploy/devnet.genesis.json', () => {
  const genesis = parseGenesis(JSON.parse(load('deploy', 'devnet.genesis.json')));

  it('is the devnet, whose voters are the five development voters', () => {
    expect(genesis.doc.name).toBe(DEV_NETWORK);
    expect(new Set(genesis.electorate)).toEqual(new Set(NODES.map((node) => devVoter(node).address)));
  });

  it('funds the ten development accounts', () => {
    for (const { address } of devAccounts()) expect(genesis.accounts.get(address)?.balance).toBeGreaterThan(0n);
  });

  it('leaves every node room for a block timestamp: the genesis is not in the future', () => {
    expect(genesis.block.header.timestampMs).toBeLessThan(BigInt(Date.now()));
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { architectureFaults, importsOf } from './import-graph.ts';

const repository = join(import.meta.dirname, '..', '..');
const FOLDERS = ['crypto', 'chain', 'node', 'scripts', 'sim', 'bench', 'test', 'tools'];

function loadSources(): Map<string, string> {
  const sources = new Map<string, string>();
  for (const folder of FOLDERS) {
    let names: string[];
    try {
      names = readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' });
    } catch {
      continue; // a folder that has no file yet
    }
    for (const name of names) {
      if (!/\.[jt]s$/.test(name)) continue;
      const path = `${folder}/${name.split(sep).join('/')}`;
      sources.set(path, readFileSync(join(repository, path), 'utf8'));
    }
  }
  return sources;
}

/** The faults of a repository that has just these files. */
function faultsOf(files: Record<string, string>): string[] {
  return architectureFaults(new Map(Object.entries(files)));
}

describe('the repository', () => {
  it('follows the arrow, has no cycles, and keeps each library, clock and timer in its one place', () => {
    const sources = loadSources();
    expect(sources.size).toBeGreaterThan(20);
    expect([...sources.keys()]).toContain('chain/types.ts');
    expect(architectureFaults(sources)).toEqual([]);
  });
});

describe('imports are found', () => {
  it('in every form a module can take them', () => {
    const source = `
import a from './a.ts';
import type { B } from "./b.ts";
import {
  c,
  type D,
} from './c.ts';
import './d.ts';
export { e } from './e.ts';
export * from './f.ts';
const g = await import('./g.ts');
let h: import('./h.ts').H;`;
    expect(importsOf(source).map((specifier) => specifier[2])).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  });

  it('but not in comments, strings and calls named from', () => {
    const source = `
// import { a } from './a.ts';
/* import { b } from './b.ts'; */
export const c = Buffer.from('./c.ts');
const url = 'https://example.org'; const d = "import './d.ts'";`;
    expect(importsOf(source)).toEqual([]);
  });
});

describe('each rule can fail', () => {
  const cases: readonly [rule: string, files: Record<string, string>, fault: RegExp][] = [
    [
      'crypto imports chain',
      { 'crypto/a.ts': `import { b } from '../chain/b.ts';` },
      /^crypto\/a\.ts: against the arrow/,
    ],
    ['chain imports a type of node', { 'chain/a.ts': `import type { B } from '../node/b.ts';` }, /against the arrow/],
    ['node imports scripts', { 'node/x/a.ts': `export { b } from '../../scripts/b.ts';` }, /against the arrow/],
    ['scripts import test', { 'scripts/a.ts': `await import('../test/b.ts');` }, /against the arrow/],
    ['something leaves the house', { 'node/a.ts': `import '../../elsewhere/b.ts';` }, /against the arrow/],
    [
      'a cycle of two',
      { 'chain/a.ts': `import './b.ts';`, 'chain/b.ts': `import type { A } from './a.ts';` },
      /^cycle: /,
    ],
    ['a file that imports itself', { 'chain/a.ts': `import './a.ts';` }, /^cycle: chain\/a\.ts → chain\/a\.ts$/],
    [
      'gossipsub outside its file',
      { 'node/net/host.ts': `import { gossipsub } from '@chainsafe/libp2p-gossipsub';` },
      /only node\/net\/gossipsub\.ts may import/,
    ],
    [
      'gossipsub by its new name',
      { 'node/net/host.ts': `import '@libp2p/gossipsub/types';` },
      /only node\/net\/gossip/,
    ],
    ['libp2p outside node/net', { 'node/api/a.ts': `import type { P } from '@libp2p/interface';` }, /only node\/net\//],
    ['libp2p in scripts', { 'scripts/a.ts': `import { createLibp2p } from 'libp2p';` }, /only node\/net\//],
    ['LevelDB outside node/store', { 'node/compose.ts': `import 'classic-level';` }, /only node\/store\//],
    ['secp256k1 outside crypto', { 'chain/a.ts': `import '@noble/secp256k1';` }, /only crypto\//],
    [
      'the slow backend in a command',
      { 'scripts/a.ts': `import { nobleBackend } from '../crypto/noble-backend.ts';` },
      /^scripts\/a\.ts: takes the slow backend/,
    ],
    ['a built-in module in chain', { 'chain/a.ts': `import { hash } from 'node:crypto';` }, /pure code may not import/],
    ['a library in crypto', { 'crypto/a.ts': `import pino from 'pino';` }, /pure code may not import pino/],
    ['node:timers in node', { 'node/a.ts': `import { setTimeout } from 'node:timers/promises';` }, /through a port/],
    ['Date.now in chain', { 'chain/a.ts': 'export const a = Date.now();' }, /not from Date\.now/],
    ['new Date() in node', { 'node/a.ts': 'export const a = new Date();' }, /through a port/],
    ['Math.random in node', { 'node/a.ts': 'export const a = Math.random();' }, /not from Math\.random/],
    ['a bare timer in node', { 'node/a.ts': 'setInterval(f, 1);' }, /not from setInterval/],
    [
      'a timer of the global object',
      { 'node/a.ts': 'globalThis.setTimeout(f, 1);' },
      /not from globalThis\.setTimeout/,
    ],
    ['AbortSignal.timeout in node', { 'node/a.ts': 'f(AbortSignal.timeout(1));' }, /not from AbortSignal\.timeout/],
    ['a name in camel case', { 'node/blockTree.ts': '' }, /not kebab-case/],
    ['a barrel', { 'node/net/index.ts': `export * from './host.ts';` }, /no barrels/],
    ['a skipped test', { 'test/unit/a.test.ts': `it.skip('a', () => {});` }, /it\.skip hides a test/],
  ];

  it.each(cases)('%s', (_rule, files, fault) => {
    const faults = faultsOf(files);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
  });

  it('and what is allowed stays allowed', () => {
    expect(
      faultsOf({
        'crypto/a.ts': `import { sha256 } from '@noble/hashes/sha2.js'; // Date.now() is for others`,
        'chain/b.ts': `import { a } from '../crypto/a.ts';\nexport const at = (ms: number) => new Date(ms);`,
        'node/net/gossipsub.ts': `import { gossipsub } from '@chainsafe/libp2p-gossipsub';\nimport '../../chain/b.ts';`,
        'node/net/host.ts': `import './gossip.ts';\nimport { tcp } from '@libp2p/tcp';\nsocket.setTimeout(1);`,
        'node/adapters.ts': 'export const now = () => Date.now();\nsetTimeout(f, 1);',
        'scripts/c.ts': `import '../node/net/host.ts';\nsetTimeout(f, 1);`,
        'test/unit/d.test.ts': `import '../../scripts/c.ts';\nimport '@libp2p/tcp';\nit('d', () => {});`,
      }),
    ).toEqual([]);
  });
});

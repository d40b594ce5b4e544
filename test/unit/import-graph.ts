/**
 * Reads the imports of the sources and checks the rules of the house that are about who may import whom. It parses
 * by itself: the linter's overrides depend on glob patterns that a moved file slips past without a word.
 */
import { posix } from 'node:path';

/** Sources by path from the repository's root, with forward slashes. */
export type Sources = ReadonlyMap<string, string>;

/** The arrow `crypto ← chain ← node ← scripts`: a folder imports from itself and from those left of it. */
const LAYERS: readonly string[] = ['crypto', 'chain', 'node', 'sim', 'scripts'];
/** Folders that nothing but themselves imports from. */
const OUTER = ['bench', 'test', 'tools'];

/** Says what this software is called and which version it is; no code. */
const MANIFEST = 'package.json';

interface OwnedPackage {
  readonly packages: RegExp;
  /** Paths below which the packages may be imported. */
  readonly owners: readonly string[];
}

const OWNED: readonly OwnedPackage[] = [
  { packages: /^(@chainsafe\/libp2p-|@libp2p\/)gossipsub(\/|$)/, owners: ['node/net/gossipsub.ts'] },
  { packages: /^(libp2p|@libp2p\/[^/]+|@chainsafe\/[^/]+|@multiformats\/[^/]+)(\/|$)/, owners: ['node/net/'] },
  { packages: /^classic-level(\/|$)/, owners: ['node/store/'] },
  { packages: /^(@noble\/secp256k1|secp256k1|@bitauth\/libauth)(\/|$)/, owners: ['crypto/'] },
];

/** The reference, which others only choose by name (`crypto/load-backend.ts`): it takes milliseconds a signature. */
const SLOW_BACKEND = 'crypto/noble-backend.ts';
/** A simulation takes it where its caller gives no other. */
const SLOW_BACKEND_USERS = ['crypto', 'sim'];

/** What pure code may import from outside: nothing of Node's, only the audited primitives. */
const PURE_LAYERS = ['crypto', 'chain'];
const PURE_PACKAGES = /^(@(noble|scure)\/|(secp256k1|@bitauth\/libauth)(\/|$))/;

/** The files that touch clock, timers and randomness: the process's own, and the virtual clock's turn of the loop. */
const ADAPTERS = ['node/adapters.ts', 'sim/virtual-clock.ts'];
const AMBIENT: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bperformance\.now\b/,
  /\bprocess\.hrtime\b/,
  /\bMath\.random\b/,
  /\bAbortSignal\.timeout\b/,
  // As a bare name or of the global object; `socket.setTimeout` is another thing.
  /(?<![.\w])(globalThis\.|global\.)?(setTimeout|setInterval|setImmediate)\s*\(/,
];
const AMBIENT_IMPORTS = /^(node:)?timers(\/|$)/;

const STRING_OR_COMMENT = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

function withoutComments(source: string): string {
  return source.replace(STRING_OR_COMMENT, (_, text: string | undefined) => text ?? '');
}

function withoutCommentsAndStrings(source: string): string {
  return source.replace(STRING_OR_COMMENT, (_, text: string | undefined) => (text === undefined ? '' : `''`));
}

/** The specifiers a module imports, type imports, re-exports and `import()` included. */
export function importsOf(source: string): string[] {
  const code = withoutComments(source);
  const statements = /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]/gm;
  const calls = /\bimport\(\s*['"`]([^'"`]+)['"`]/g;
  return [...code.matchAll(statements), ...code.matchAll(calls)].map((match) => (match[1] ?? match[2]) as string);
}

function layerOf(path: string): string {
  return path.split('/', 1)[0] as string;
}

function mayImport(from: string, to: string): boolean {
  if (OUTER.includes(from)) return true;
  if (OUTER.includes(to)) return false;
  const fromRank = LAYERS.indexOf(from);
  const toRank = LAYERS.indexOf(to);
  return toRank !== -1 && toRank <= fromRank;
}

/** Each file's imports of other files. */
function graphOf(sources: Sources): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  for (const [path, source] of sources) {
    const relative = importsOf(source).filter((specifier) => specifier.startsWith('.'));
    graph.set(
      path,
      relative.map((specifier) => posix.join(posix.dirname(path), specifier)),
    );
  }
  return graph;
}

function checkFile(path: string, source: string): string[] {
  const faults: string[] = [];
  const layer = layerOf(path);
  const inside = LAYERS.includes(layer);
  for (const specifier of importsOf(source)) {
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(path), specifier);
      if (target === MANIFEST) continue;
      if (!mayImport(layer, layerOf(target))) faults.push(`${path}: against the arrow: ${target}`);
      if (inside && target === SLOW_BACKEND && !SLOW_BACKEND_USERS.includes(layer)) {
        faults.push(`${path}: takes the slow backend, not the one that loadSignatureBackend chooses`);
      }
      continue;
    }
    if (!inside) continue;
    const owned = OWNED.find(({ packages }) => packages.test(specifier));
    if (owned !== undefined && !owned.owners.some((owner) => path.startsWith(owner))) {
      faults.push(`${path}: only ${owned.owners.join(', ')} may import ${specifier}`);
    }
    if (PURE_LAYERS.includes(layer) && !PURE_PACKAGES.test(specifier)) {
      faults.push(`${path}: pure code may not import ${specifier}`);
    }
    if (layer === 'node' && !ADAPTERS.includes(path) && AMBIENT_IMPORTS.test(specifier)) {
      faults.push(`${path}: time comes through a port, not from ${specifier}`);
    }
  }
  if (inside && layer !== 'scripts' && !ADAPTERS.includes(path)) {
    const code = withoutCommentsAndStrings(source);
    for (const pattern of AMBIENT) {
      const match = pattern.exec(code);
      if (match !== null) faults.push(`${path}: time and randomness come through a port, not from ${match[0]}`);
    }
  }
  const name = posix.basename(path);
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)+$/.test(name)) faults.push(`${path}: the name is not kebab-case`);
  if (/^index\.[jt]s$/.test(name)) faults.push(`${path}: no barrels`);
  if (/\.test\.ts$/.test(name)) {
    const match = /\b(it|test|describe)\.(skip|only|todo|fails)\b/.exec(withoutCommentsAndStrings(source));
    if (match !== null) faults.push(`${path}: ${match[0]} hides a test`);
  }
  return faults;
}

/** One cycle per strongly connected knot is enough to act on: depth first, the path back to a file being visited. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const trail: string[] = [];
  const faults: string[] = [];
  const visit = (path: string): void => {
    const seenAt = trail.indexOf(path);
    if (seenAt !== -1) {
      faults.push(`cycle: ${[...trail.slice(seenAt), path].join(' → ')}`);
      return;
    }
    if (done.has(path)) return;
    trail.push(path);
    for (const target of graph.get(path) ?? []) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return faults;
}

/**
 * @param sources every source file of the repository, tests and tools included
 * @returns one sentence per broken rule; empty when the house is in order
 */
export function architectureFaults(sources: Sources): string[] {
  const faults = [...sources].flatMap(([path, source]) => checkFile(path, source));
  return [...faults, ...findCycles(graphOf(sources))];
}

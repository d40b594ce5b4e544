import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const repository = join(import.meta.dirname, '..', '..');
const tools = join(repository, 'tools');
interface Libraries {
  readonly BUNDLED: readonly string[];
  readonly SEPARATE: readonly string[];
  readonly areWhole: (directory: string) => boolean;
}
const { BUNDLED, SEPARATE, areWhole }: Libraries = await import(pathToFileURL(join(tools, 'libraries.js')).href);

/** What the program and its threads import from packages at run time. */
async function importedPackages(): Promise<ReadonlySet<string>> {
  const build = await rolldown({
    input: ['scripts/cli.ts', 'node/verify/verify-worker.ts', 'node/mining/pow-worker.ts'],
    cwd: repository,
    platform: 'node',
    external: (id) => !/^(\.|\/)/.test(id) && !id.endsWith('.ts'),
  });
  const { output } = await build.generate({ format: 'esm' });
  await build.close();
  const own = new Set(output.map(({ fileName }) => fileName));
  const imports = output.flatMap((each) => (each.type === 'chunk' ? [...each.imports, ...each.dynamicImports] : []));
  return new Set(imports.filter((id) => !own.has(id) && !id.startsWith('node:')));
}

it('every library that the program imports is put together or named as separate, and no other', async () => {
  const imported = await importedPackages();
  expect(imported.size).toBeGreaterThan(20);
  // By createRequire, where text is wanted.
  expect([...BUNDLED, ...SEPARATE].sort()).toEqual([...imported, 'pino-pretty'].sort());
});

describe('libraries that were put together', () => {
  let parent: string;
  let directory: string;

  beforeAll(() => {
    parent = mkdtempSync(join(tmpdir(), 'grapevine-libraries-'));
    directory = join(parent, 'libraries');
    bundle();
  }, 60_000);

  afterAll(() => rmSync(parent, { recursive: true, force: true }));

  function bundle(): void {
    execFileSync(process.execPath, [join(tools, 'bundle-libraries.js'), directory], { cwd: repository });
  }

  /** Runs a module of a program beside the libraries, with the hook, and gives what it prints. */
  function run(code: string): string {
    const program = join(parent, 'program.mjs');
    writeFileSync(program, code);
    const hook = pathToFileURL(join(directory, 'hook.js')).href;
    return execFileSync(process.execPath, ['--import', hook, program], { encoding: 'utf8' }).trim();
  }

  it('answer the imports of the program, and only those: packages find their own', () => {
    const found = run(`console.log(import.meta.resolve('fastify'), import.meta.resolve('node:fs'));`);
    expect(found).toBe(`${pathToFileURL(join(directory, 'fastify.js')).href} node:fs`);
    mkdirSync(join(parent, 'node_modules', 'fastify'), { recursive: true });
    writeFileSync(join(parent, 'node_modules', 'fastify', 'index.js'), '');
    writeFileSync(join(parent, 'node_modules', 'other.mjs'), `console.log(import.meta.resolve('fastify'));`);
    const own = pathToFileURL(join(parent, 'node_modules', 'fastify', 'index.js')).href;
    expect(run(`import './node_modules/other.mjs';`)).toBe(own);
    rmSync(join(parent, 'node_modules'), { recursive: true });
  });

  it('leave our own files where their addresses say, and what is missing is named', () => {
    writeFileSync(join(parent, 'other.ts'), `export const answer: string = import.meta.url;`);
    const found = run(`
      import { answer } from './other.ts';
      const missing = await import('./missing.ts').catch((error) => error.message);
      console.log(answer, missing.includes('missing.ts'));`);
    expect(found).toBe(`${pathToFileURL(join(parent, 'other.ts')).href} true`);
    rmSync(join(parent, 'other.ts'));
  });

  it('are each there once: who asks for the class of an object finds the one that it has', () => {
    const sources = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));
    for (const name of ['YamuxStream', 'YamuxMuxer', 'Uint8ArrayList', 'StreamResetError']) {
      const declared = new RegExp(`class ${name}\\b|\\b${name} ?= ?class`);
      expect(sources.filter((source) => declared.test(source))).toHaveLength(1);
    }
    const code = `
      import { StreamState } from '@libp2p/yamux/stream';
      import { Registry, Gauge } from 'prom-client';
      const registers = [new Registry()];
      console.log(typeof StreamState, new Gauge({ name: 'g', help: 'g', registers }) instanceof Gauge);`;
    expect(run(code)).toBe('object true');
  });

  it('have no text that V8 would keep in two bytes a character', () => {
    const wide = readdirSync(directory).filter((name) =>
      /[\u0100-\uffff]/.test(readFileSync(join(directory, name), 'utf8')),
    );
    expect(wide).toEqual([]);
  });

  it('leave no draft behind, also where they were there already, and are there for every user', () => {
    const { ino, mode } = statSync(directory);
    bundle();
    expect(statSync(directory).ino).toBe(ino);
    expect(mode & 0o555).toBe(0o555);
    expect(readdirSync(parent).sort()).toEqual(['libraries', 'program.mjs']);
  });

  it('are made again where a power cut left one of their files empty, whichever', () => {
    for (const name of ['manifest.json', 'commander.js', 'hook.js']) {
      const path = join(directory, name);
      const code = readFileSync(path);
      writeFileSync(path, '');
      expect(areWhole(directory)).toBe(false);
      writeFileSync(path, code);
      expect(areWhole(directory)).toBe(true);
    }
    writeFileSync(join(directory, 'hook.js'), '');
    bundle();
    expect(areWhole(directory)).toBe(true);
    expect(readdirSync(parent).sort()).toEqual(['libraries', 'program.mjs']);
  });

  it('that cannot be made end the tool with a line that says why', () => {
    const file = join(parent, 'program.mjs', 'libraries');
    const { status, stderr } = spawnSync(process.execPath, [join(tools, 'bundle-libraries.js'), file], {
      cwd: repository,
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^E(NOTDIR|EXIST): .*\n$/);
  });
});

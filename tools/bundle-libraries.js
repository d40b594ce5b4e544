// @ts-check
/**
 * Puts the libraries that the program imports together into a directory: a file for each import, what several of them
 * share in files of its own, and `hook.js`. Comments go, and names within a file change where two of them meet.
 *
 *     node tools/bundle-libraries.js <directory, which does not exist>
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { areWhole, BUNDLED, HOOK, MANIFEST, SEPARATE, TIMEOUT_MS } from './libraries.js';

const VIRTUAL = '\0library:';
/** V8 keeps a text with one character beyond Latin-1 in two bytes a character. */
const BEYOND_LATIN_1 = /[\u0100-\uffff]/g;
const TAKEN_AS_WRITTEN = /String\.raw|\\[\u0100-\uffff]/;
const DRAFT = '.draft-';

/** @param {string} specifier */
const fileNameOf = (specifier) => specifier.replace(/\.js$/, '').replaceAll(/[^\w-]+/g, '_');

/**
 * A module that exports what Node makes of the library: of CommonJS the names that it finds, which are more than a
 * bundler can tell.
 *
 * @param {string} specifier
 * @returns {Promise<string>}
 */
async function entryOf(specifier) {
  const from = JSON.stringify(specifier);
  const names = Object.keys(await import(specifier));
  if (!names.includes('module.exports')) {
    return `export * from ${from};\n${names.includes('default') ? `export { default } from ${from};\n` : ''}`;
  }
  const own = names.filter(
    (name) => name !== 'default' && name !== 'module.exports' && /^[A-Za-z_$][\w$]*$/.test(name),
  );
  const named = own.map(
    (name, index) => `const v${index} = library[${JSON.stringify(name)}];\nexport { v${index} as ${name} };\n`,
  );
  return `import library from ${from};\nexport default library;\n${named.join('')}`;
}

/** @param {string} directory */
async function bundle(directory) {
  /** @type {Map<string, string>} */
  const entries = new Map();
  for (const specifier of BUNDLED) entries.set(specifier, await entryOf(specifier));
  const build = await rolldown({
    input: Object.fromEntries(BUNDLED.map((specifier) => [fileNameOf(specifier), VIRTUAL + specifier])),
    platform: 'node',
    external: SEPARATE,
    // A warning would be about code of others that Node runs as it is.
    logLevel: 'silent',
    plugins: [
      {
        name: 'entries',
        resolveId: (id) => (id.startsWith(VIRTUAL) ? id : undefined),
        load: (id) => entries.get(id.slice(VIRTUAL.length)),
      },
    ],
  });
  await build.write({
    dir: directory,
    format: 'esm',
    minify: false,
    comments: false,
  });
  await build.close();
  await copyFile(new URL('library-hook.js', import.meta.url), join(directory, HOOK));
  /** @type {Record<string, number>} */
  const lengths = {};
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    let code = await readFile(path, 'utf8');
    // Such characters stand in literals; one that takes its text as it is written must keep them.
    if (!TAKEN_AS_WRITTEN.test(code)) code = code.replace(BEYOND_LATIN_1, escaped);
    await writeFile(path, code, { flush: true });
    lengths[name] = Buffer.byteLength(code);
  }
  const files = Object.fromEntries(BUNDLED.map((specifier) => [specifier, `./${fileNameOf(specifier)}.js`]));
  await writeFile(join(directory, MANIFEST), JSON.stringify({ files, lengths }, null, 2), { flush: true });
}

/** @param {string} character one UTF-16 code unit */
function escaped(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** That each file exports what its library does. @param {string} directory */
async function check(directory) {
  for (const specifier of BUNDLED) {
    const wanted = Object.keys(await import(specifier)).filter((name) => name !== 'module.exports');
    const found = await import(pathToFileURL(join(directory, `${fileNameOf(specifier)}.js`)).href);
    const missing = wanted.filter((name) => !(name in found));
    if (missing.length > 0) throw new Error(`${specifier}, put together, lacks ${missing.join(', ')}`);
  }
}

/**
 * Moves the draft to its place, whole, also where several do this at once: the first one's stays.
 *
 * @param {string} draft
 * @param {string} directory
 */
async function publish(draft, directory) {
  try {
    await rename(draft, directory);
  } catch (error) {
    if (areWhole(directory)) return;
    if (!existsSync(directory)) throw error;
    // What a power cut left of them.
    const damaged = `${draft}-damaged`;
    await rename(directory, damaged);
    await rename(draft, directory);
    await rm(damaged, { recursive: true });
  }
}

/** Of processes that were killed. @param {string} parent */
async function removeOldDrafts(parent) {
  for (const name of await readdir(parent)) {
    const path = join(parent, name);
    if (name.startsWith(DRAFT) && Date.now() - (await stat(path)).mtimeMs > 2 * TIMEOUT_MS) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

async function main() {
  const target = process.argv[2];
  if (target === undefined) throw new Error('usage: node tools/bundle-libraries.js <directory>');
  const directory = resolve(target);
  const parent = dirname(directory);
  await mkdir(parent, { recursive: true });
  await removeOldDrafts(parent);
  const draft = join(parent, DRAFT + randomUUID());
  await mkdir(draft);
  try {
    await bundle(draft);
    await check(draft);
    await publish(draft, directory);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

await main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});

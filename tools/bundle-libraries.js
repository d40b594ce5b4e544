// @ts-check
/**
 * Puts the libraries that the program imports together into a directory: a file for each import, what several of them
 * share in files of its own, and `hook.js`. Comments go, and names within a file change where two of them meet.
 *
 *     node tools/bundle-libraries.js <directory, which does not exist>
 */
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { BUNDLED, HOOK, SEPARATE } from './libraries.js';

const VIRTUAL = '\0library:';
/** V8 keeps a text with one character beyond Latin-1 in two bytes a character. */
const BEYOND_LATIN_1 = /[\u0100-\uffff]/g;

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
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const code = await readFile(path, 'utf8');
    // Such characters stand in literals only; one that takes its text as it is written must keep them.
    if (!code.includes('String.raw')) await writeFile(path, code.replace(BEYOND_LATIN_1, escaped));
  }
  const files = Object.fromEntries(BUNDLED.map((specifier) => [specifier, `./${fileNameOf(specifier)}.js`]));
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(files, null, 2));
  await copyFile(new URL('library-hook.js', import.meta.url), join(directory, HOOK));
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

const target = process.argv[2];
if (target === undefined) {
  process.stderr.write('usage: node tools/bundle-libraries.js <directory>\n');
  process.exit(2);
}
const directory = resolve(target);
// Beside its place and then moved there: whoever finds it finds it whole, also where several do this at once.
const draft = join(dirname(directory), `.draft-${process.pid}`);
await mkdir(draft, { recursive: true });
try {
  await bundle(draft);
  await check(draft);
  await rename(draft, directory).catch((error) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST' && error.code !== 'EPERM') throw error;
    // Another was first.
  });
} finally {
  await rm(draft, { recursive: true, force: true });
}

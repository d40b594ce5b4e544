// @ts-check
/**
 * Answers imports of libraries with the files that `bundle-libraries.js` made, beside which a copy of this file lies.
 * What a package asks for that is loaded by itself is left alone. Where our own files and these import each other, the
 * address says all: Node would ask the disk some ten times for each.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** @type {{ readonly files: Readonly<Record<string, string>> }} */
const { files } = JSON.parse(readFileSync(new URL('manifest.json', import.meta.url), 'utf8'));

const directory = new URL('.', import.meta.url).href;

/**
 * @param {string} specifier
 * @param {string | undefined} parent undefined: of the program's first module
 */
function found(specifier, parent) {
  if (parent?.startsWith(directory) && specifier.startsWith('./')) return [specifier, parent, 'module'];
  if (parent?.includes('/node_modules/')) return undefined;
  if (Object.hasOwn(files, specifier)) return [files[specifier], import.meta.url, 'module'];
  if (parent !== undefined && /^\.\.?\/.*\.ts$/.test(specifier)) return [specifier, parent, 'module-typescript'];
  return undefined;
}

registerHooks({
  resolve(specifier, context, nextResolve) {
    const [path, base, format] = found(specifier, context.parentURL) ?? [];
    if (path === undefined) return nextResolve(specifier, context);
    return { url: new URL(path, base).href, format, shortCircuit: true };
  },
});

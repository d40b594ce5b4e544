// @ts-check
/**
 * Answers imports of libraries with the files that `bundle-libraries.js` made, beside which a copy of this file lies.
 * What a package asks for that is loaded by itself is left alone.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** @type {{ readonly files: Readonly<Record<string, string>> }} */
const { files } = JSON.parse(readFileSync(new URL('manifest.json', import.meta.url), 'utf8'));

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isOurs = Object.hasOwn(files, specifier) && context.parentURL?.includes('/node_modules/') !== true;
    if (!isOurs) return nextResolve(specifier, context);
    return {
      url: new URL(/** @type {string} */ (files[specifier]), import.meta.url).href,
      format: 'module',
      shortCircuit: true,
    };
  },
});

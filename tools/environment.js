// @ts-check
/** What the launcher hands on to the processes that it starts. For any Node ≥ 20, without dependencies. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { libraryHook } from './libraries.js';

/** @returns {string} where compiled code is kept between runs; goes with the dependencies when they are reinstalled */
export function compileCachePath() {
  const repository = dirname(dirname(fileURLToPath(import.meta.url)));
  return join(repository, 'node_modules', '.cache', 'grapevine-compile');
}

/**
 * Nodes that this process starts find the compiled code and the libraries that were put together, and stay quiet about
 * type stripping before 24.12.
 *
 * @returns {string | undefined} the hook of the libraries, where there is one
 */
export function prepareEnvironment() {
  process.env.NODE_COMPILE_CACHE ??= compileCachePath();
  const hook = libraryHook();
  const wanted = ['--disable-warning=ExperimentalWarning', ...(hook === undefined ? [] : [`--import=${hook}`])];
  for (const option of wanted) {
    const options = process.env.NODE_OPTIONS ?? '';
    if (!options.includes(option)) process.env.NODE_OPTIONS = `${options} ${option}`.trim();
  }
  return hook;
}

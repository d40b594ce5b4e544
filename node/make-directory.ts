import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes a directory and those above it, where they are missing. Instead of mkdir's `recursive`, which never returns
 * where a file system says of a new entry that it does not exist (`/proc`).
 *
 * @param mode of those that are made; default 0777, less the umask
 * @throws what `mkdir` throws, e.g. EACCES, ENOTDIR, EEXIST where the path is a file
 */
export async function makeDirectory(path: string, mode?: number): Promise<void> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await exists(at)); at = dirname(at)) missing.unshift(at);
  for (const each of missing) {
    try {
      await mkdir(each, mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // made meanwhile by somebody else
    }
  }
  if (!(await stat(path)).isDirectory()) await mkdir(path); // says what stands there
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

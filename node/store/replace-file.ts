import { open, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** Writes a file of a directory anew: whoever opens it sees the old or the new text whole. Durable when it resolves. */
export async function replaceFile(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `${name}.tmp`);
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, join(directory, name));
  await syncDirectory(directory);
}

/** Makes a directory with all that is in it durable. */
export async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else await syncPath(path);
  }
  await syncDirectory(directory);
}

/** Makes names that were added to a directory, or taken from it, durable, where that can be asked for: not of Windows. */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform !== 'win32') await syncPath(directory);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

import { open, rename } from 'node:fs/promises';
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

/** Makes names that were added to a directory, or taken from it, durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

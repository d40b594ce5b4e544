/** Before any test: what `npm test` does first, for who calls vitest without it. Commands say so where they do it themselves. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export function setup(): void {
  const tool = join(import.meta.dirname, '../tools/ensure-install.js');
  execFileSync(process.execPath, [tool], { stdio: ['ignore', 'inherit', 'inherit'] });
}

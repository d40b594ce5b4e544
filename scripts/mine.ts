/** `grapevine mine`. */
import type { Command } from 'commander';
import { type ApiOptions, addApiOptions, addTokenOption, openClient, readInteger } from './api-options.ts';
import { printJson, printLine } from './output.ts';

const MAX_BLOCKS = 1000;

export function addMineCommand(program: Command): void {
  addTokenOption(
    addApiOptions(program.command('mine').description('mine blocks now, on a node whose mode is on-demand')),
  )
    .option('--blocks <n>', 'how many', readInteger(1, MAX_BLOCKS), 1)
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine mine
  $ grapevine mine --blocks 10 --json`,
    )
    .action(async (options: ApiOptions & { readonly blocks: number }) => {
      const result = await openClient(options).mine(options.blocks);
      if (options.json === true) printJson(result);
      else for (const { height, id } of result.blocks) printLine(`${height}  ${id}`);
    });
}

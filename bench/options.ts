/** The command line of the benchmarks. What is wrong with it is said before they run: that takes minutes. */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { EXIT } from '../scripts/exit.ts';
import type { Row } from './measure.ts';

export interface BenchOptions {
  /** Names of benchmarks; undefined: all. */
  readonly only?: readonly string[];
  readonly short: boolean;
  /** Files, as they were at the start where it is rows that they hold. */
  readonly json?: string;
  readonly against?: RowsFile;
  readonly into?: string;
  readonly renew?: RowsFile;
}

export interface RowsFile {
  readonly path: string;
  readonly rows: readonly Row[];
}

/** What a table is put between in a document. */
export const MARKS = /(<!-- bench -->\n)[\s\S]*(<!-- \/bench -->)/;

/**
 * Reads the arguments, and the files that they name. Ends the process with 2 where one cannot be used, with 0 after help.
 *
 * @param names of the benchmarks that there are
 */
export function readBenchOptions(args: readonly string[], names: readonly string[]): BenchOptions {
  const readName = (name: string, before: readonly string[] = []): readonly string[] => {
    if (!names.includes(name)) throw new InvalidArgumentError(`there is ${names.join(', ')}`);
    return [...before, name];
  };
  return new Command('npm run bench --')
    .description('run the benchmarks and print a table')
    .option('--only <name>', `only this one, may be repeated: ${names.join(', ')}`, readName)
    .option('--short', 'fewer and shorter rounds', false)
    .option('--json <file>', 'write the rows to a file', readTarget)
    .option('--against <file>', 'exit status 1 where a ratio is much worse than the one in this file', readRows)
    .option('--into <file>', 'put the table between the marks of this document', readDocument)
    .option('--renew <file>', 'put the measured rows in the place of those in this file', readRenewed)
    .showHelpAfterError()
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.done : EXIT.usage))
    .parse(args, { from: 'user' })
    .opts<BenchOptions>();
}

function readRows(path: string): RowsFile {
  const rows = tryFile(() => JSON.parse(readFileSync(path, 'utf8')) as unknown);
  if (!Array.isArray(rows) || !rows.every((row) => typeof row?.name === 'string')) {
    throw new InvalidArgumentError('it holds no rows');
  }
  return { path, rows };
}

function readRenewed(path: string): RowsFile {
  return readRows(readTarget(path));
}

function readDocument(path: string): string {
  const text = tryFile(() => readFileSync(path, 'utf8'));
  if (!MARKS.test(text)) throw new InvalidArgumentError('it has no marks <!-- bench --> and <!-- /bench -->');
  return readTarget(path);
}

/** A file that will be written. It is not opened for it: what would have been made or cut is there when a run fails. */
function readTarget(path: string): string {
  tryFile(() => accessSync(existsSync(path) ? path : dirname(path), constants.W_OK));
  if (existsSync(path) && statSync(path).isDirectory()) throw new InvalidArgumentError('it is a directory');
  return path;
}

function tryFile<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

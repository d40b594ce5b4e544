/** What commands print. Results go to standard output, all else to standard error. */
import { formatCoins } from './coins.ts';

/** The one JSON document of a command with `--json`, or one line of `watch`. */
export function printJson(document: object): void {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

/** To standard output: a result, for people. Text from elsewhere is made `printable` first. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** To standard error: what is said while a command works. */
export function printNote(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Text from elsewhere, without the control characters that would move a terminal's cursor, and the format characters
 * that would turn its text around or hide some of it (U+202E, U+200B).
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}

/** Units, as the API gives them, to coins. */
export function coins(units: string): string {
  return formatCoins(BigInt(units));
}

/** A number of things, e.g. `1 vote`, `2 votes`. */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** The first digits of an id, for people. */
export function short(id: string): string {
  return id.slice(0, 12);
}

/** Columns, as wide as their widest cell; the last one is not padded. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  for (const row of rows) {
    const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!)));
    printLine(cells.join('  '));
  }
}

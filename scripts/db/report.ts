/** What the commands of `grapevine db` say. */
import type { Fault } from '../../node/store/faults.ts';
import { printable, printLine } from '../output.ts';

/** Faults of one kind that are printed for people. */
const MAX_SHOWN = 5;

/** One damaged block leaves a fault in each record that follows from it: of a kind, a few are shown. */
export function printFaults(faults: readonly Fault[]): void {
  const seen = new Map<string, number>();
  for (const { kind, detail, repair } of faults) {
    const before = seen.get(kind) ?? 0;
    seen.set(kind, before + 1);
    if (before >= MAX_SHOWN) continue;
    printLine(`${kind}: ${printable(detail)}`);
    printLine(`  repair ${repair}`);
  }
  for (const [kind, found] of seen) {
    if (found > MAX_SHOWN) printLine(`${kind}: and ${found - MAX_SHOWN} more; --json lists all`);
  }
}

/** E.g. `1 block`, `2 blocks`. */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** As JSON has it: the height is a decimal string. */
export function ref({ height, id }: { readonly height: bigint; readonly id: string }) {
  return { height: height.toString(), id };
}

/** Transactions decoded and written out in one turn of the event loop: some milliseconds of work. */
const SLICE_TXS = 128;

/**
 * `make` of each of 0..count-1, some at a time: a full block would hold up the event loop for a fifth of a second.
 *
 * @param giveWay resolves when the event loop has had its turn
 */
export async function inSlices<T>(
  count: number,
  make: (index: number) => T,
  giveWay: () => Promise<void>,
): Promise<T[]> {
  const made: T[] = [];
  for (let index = 0; index < count; index += 1) {
    if (index > 0 && index % SLICE_TXS === 0) await giveWay();
    made.push(make(index));
  }
  return made;
}

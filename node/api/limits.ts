/** What clients need to know of the API without loading its schemas. */

/** Transactions in one request. */
export const MAX_SUBMIT_BATCH = 500;

/**
 * Whether a transaction is one of the `one in sample` that an event client asked for.
 *
 * @param id hex; its first four bytes decide, so every node chooses the same ones
 */
export function isSampled(id: string, sample: number): boolean {
  return sample === 1 || Number.parseInt(id.slice(0, 8), 16) % sample === 0;
}

/** Numbers as JSON, the API and people write them where a JSON number would lose digits. */
import { MAX_U64 } from './params.ts';

/**
 * A regular expression's source, without anchors, for the API's schemas: every u64 has this form, but so do the
 * twenty-digit numbers above 2^64 - 1. `parseU64` refuses those too.
 */
export const U64_PATTERN = '(0|[1-9][0-9]{0,19})';

const FORM = new RegExp(`^${U64_PATTERN}$`);

/** @returns undefined where the text is not the one decimal spelling of a number from 0 to 2^64 - 1 */
export function parseU64(text: string): bigint | undefined {
  const value = FORM.test(text) ? BigInt(text) : undefined;
  return value === undefined || value > MAX_U64 ? undefined : value;
}

/**
 * Reason phrases by status code (RFC 9110 §15).
 *
 * Not by an import: that reads everything that `node:http` exports, and one of these loads undici, for which a node has no use.
 */
export const STATUS_TEXT: Readonly<Record<number, string | undefined>> =
  process.getBuiltinModule('node:http').STATUS_CODES;

/** The package brings no types. */
declare module 'snappyjs' {
  /** Throws Error on what is no Snappy stream, or one of more than `maxLength` bytes uncompressed. */
  export function uncompress(compressed: Uint8Array, maxLength?: number): Uint8Array;
}

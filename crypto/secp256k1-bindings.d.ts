/** The compiled part of `secp256k1` alone: the package's main module would fall back to slow JavaScript silently. */
declare module 'secp256k1/bindings.js' {
  const bindings: Pick<typeof import('secp256k1'), 'ecdsaVerify' | 'ecdsaSign'>;
  // biome-ignore lint/style/noDefaultExport: a CommonJS module's exports
  export default bindings;
}

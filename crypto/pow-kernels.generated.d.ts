/** WebAssembly modules in base64: double SHA-256 of four nonces at a time, and of one. */
export const simd: string;
export const scalar: string;

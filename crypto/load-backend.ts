/** Which implementation checks signatures: chosen once, at start. */
import { equalBytes, hexToBytes } from './bytes.ts';
import { loadNativeBackend } from './native-backend.ts';
import type { SignatureParts, SigningBackend } from './signature.ts';
import { loadWasmBackend } from './wasm-backend.ts';

/** Fastest first. */
export const SIGNATURE_BACKENDS = ['native', 'wasm', 'noble'] as const;
export type BackendName = (typeof SIGNATURE_BACKENDS)[number];
export type BackendChoice = 'auto' | BackendName;

/** The backend that was asked for cannot run here; the message says why. */
export class BackendError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackendError';
  }
}

export interface LoadedBackend {
  readonly backend: SigningBackend;
  /** Faster ones that could not be had, and why. */
  readonly passedOver: readonly { readonly name: BackendName; readonly why: string }[];
}

const LOADERS: Readonly<Record<BackendName, () => Promise<SigningBackend>>> = {
  native: loadNativeBackend,
  wasm: loadWasmBackend,
  noble: async () => (await import('./noble-backend.ts')).nobleBackend,
};

/**
 * What the reference backend answers for the secret key SHA-256(01) and the digest SHA-256(02). It makes its tables
 * at the first signature, which would be a good part of every thread's start.
 */
export const KNOWN_ANSWER: SignatureParts & { readonly secretKey: Uint8Array } = {
  secretKey: hexToBytes('4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a'),
  publicKey: hexToBytes('02d415b187c6e7ce9da46ac888d20df20737d6f16a41639e68ea055311e1535dd9'),
  digest: hexToBytes('dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986'),
  signature: hexToBytes(
    '8dd69de1bff8d2dd5899bc22441a7f5d6acb96c8f284a931175e3ced3f797d81000314100c85e800b893f344ea82d0658f1e2205d4e74d5539e5e4c51c21934e',
  ),
};

/**
 * Loads the backend named, or with `auto` the fastest that runs on this machine. A backend must tell a good signature
 * from a spoilt one before it is taken.
 *
 * @throws {BackendError} when the one named cannot run here
 */
export async function loadSignatureBackend(
  choice: BackendChoice,
  loaders: typeof LOADERS = LOADERS,
): Promise<LoadedBackend> {
  const passedOver: { name: BackendName; why: string }[] = [];
  for (const name of choice === 'auto' ? SIGNATURE_BACKENDS : [choice]) {
    try {
      const backend = await loaders[name]();
      checkBackend(backend);
      return { backend, passedOver };
    } catch (error) {
      const why = (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!.trim();
      passedOver.push({ name, why });
    }
  }
  const reasons = passedOver.map(({ name, why }) => `${name}: ${why}`).join('; ');
  throw new BackendError(`signature backend "${choice}" cannot run here: ${reasons}`);
}

function checkBackend(backend: SigningBackend): void {
  const { secretKey, digest, signature } = KNOWN_ANSWER;
  if (!backend.verify(KNOWN_ANSWER)) throw new Error('refuses a good signature');
  if (backend.verify({ ...KNOWN_ANSWER, digest: secretKey })) throw new Error('takes a bad signature');
  if (!equalBytes(backend.sign(digest, secretKey), signature)) throw new Error('signs in another way');
}

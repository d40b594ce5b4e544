/** Which implementation checks signatures: chosen once, at start. */
import { equalBytes } from './bytes.ts';
import { sha256 } from './hash.ts';
import { publicKeyOf } from './keys.ts';
import { loadNativeBackend } from './native-backend.ts';
import { nobleBackend } from './noble-backend.ts';
import { signDigest } from './sign.ts';
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
  noble: () => Promise.resolve(nobleBackend),
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
  const secretKey = sha256(Uint8Array.of(1));
  const digest = sha256(Uint8Array.of(2));
  const good: SignatureParts = { digest, signature: signDigest(digest, secretKey), publicKey: publicKeyOf(secretKey) };
  if (!backend.verify(good)) throw new Error('refuses a good signature');
  if (backend.verify({ ...good, digest: sha256(digest) })) throw new Error('takes a bad signature');
  if (!equalBytes(backend.sign(digest, secretKey), good.signature)) throw new Error('signs in another way');
}

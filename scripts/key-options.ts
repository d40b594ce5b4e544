/** Whose key a command uses: a mnemonic's, a keystore's, or on a devnet the published one's. */
import { type Command, Option } from 'commander';
import { addressOf, formatAddress } from '../crypto/address.ts';
import { publicKeyOf } from '../crypto/keys.ts';
import { decryptKeystore } from '../crypto/keystore.ts';
import { checkMnemonic, keyFromMnemonic } from '../crypto/mnemonic.ts';
import { readInteger } from './api-options.ts';
import { DEV_MNEMONIC, DEV_NETWORK } from './dev-accounts.ts';
import { UsageError } from './exit.ts';
import { loadKeystore } from './keystore-file.ts';
import { readPassword } from './password.ts';

export interface KeyOptions {
  /** `true`: the option without a value. */
  readonly fromMnemonic?: string | true;
  readonly index?: number;
  readonly keystore?: string;
  readonly passwordFile?: string;
}

const MAX_INDEX = 2 ** 31 - 1;

export function addKeyOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--from-mnemonic [words]',
        'key from these words, or from GRAPEVINE_MNEMONIC, which others cannot see; on a devnet the published ones',
      ).conflicts('keystore'),
    )
    .option('--index <n>', 'which key of the mnemonic', readInteger(0, MAX_INDEX))
    .addOption(new Option('--keystore <file>', 'key from an encrypted file').conflicts('index'))
    .option('--password-file <file>', 'password of the keystore; or GRAPEVINE_PASSWORD, or a prompt');
}

/** Did the user name a key? */
export function namesKey(options: KeyOptions): boolean {
  return options.fromMnemonic !== undefined || options.index !== undefined || options.keystore !== undefined;
}

/**
 * The words to use.
 *
 * @param network its genesis name: the published words are for devnets only
 * @throws UsageError when there are none, or they are wrong
 */
export function readMnemonic(options: KeyOptions, network: string): string {
  const given = typeof options.fromMnemonic === 'string' ? options.fromMnemonic : process.env.GRAPEVINE_MNEMONIC;
  if (given === undefined || given === '') {
    if (network === DEV_NETWORK) return DEV_MNEMONIC;
    throw new UsageError(
      `network '${network}' is not a devnet: name a key with --keystore or --from-mnemonic (GRAPEVINE_MNEMONIC)`,
    );
  }
  const problem = checkMnemonic(given);
  if (problem !== undefined) throw new UsageError(`mnemonic: ${problem}`);
  return given;
}

/**
 * @param network its genesis name
 * @throws UsageError, KeystoreError or KeystoreFileError, all bad usage
 */
export async function loadSecretKey(options: KeyOptions, network: string): Promise<Uint8Array> {
  if (options.keystore === undefined) {
    return keyFromMnemonic(readMnemonic(options, network), options.index ?? 0).secretKey;
  }
  const keystore = await loadKeystore(options.keystore);
  const password = await readPassword(options.passwordFile, { prompt: 'Password of the keystore', isNew: false });
  return decryptKeystore(keystore, password);
}

/** The address of the key; a keystore tells it without its password. */
export async function loadAddress(options: KeyOptions, network: string): Promise<string> {
  if (options.keystore !== undefined) return (await loadKeystore(options.keystore)).address;
  return formatAddress(addressOf(publicKeyOf(await loadSecretKey(options, network))));
}

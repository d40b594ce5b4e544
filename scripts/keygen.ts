/** `grapevine keygen`. */
import { type Command, Option } from 'commander';
import { type Address, addressOf, formatAddress } from '../crypto/address.ts';
import { bytesToHex } from '../crypto/bytes.ts';
import { generateSecretKey, publicKeyOf } from '../crypto/keys.ts';
import { encryptKeystore } from '../crypto/keystore.ts';
import { generateMnemonic, keyFromMnemonic } from '../crypto/mnemonic.ts';
import { createSystemRng } from '../node/adapters.ts';
import { readInteger } from './api-options.ts';
import { UsageError } from './exit.ts';
import { readMnemonic } from './key-options.ts';
import { saveKeystore } from './keystore-file.ts';
import { printJson, printNote, printTable } from './output.ts';
import { readPassword } from './password.ts';

interface KeygenOptions {
  readonly raw?: boolean;
  readonly fromMnemonic?: string | true;
  readonly index: number;
  readonly out?: string;
  readonly passwordFile?: string;
  readonly json?: boolean;
}

interface MadeKey {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly address: Address;
  readonly path?: string;
  /** New words, which the user must write down. */
  readonly mnemonic?: string;
}

export function addKeygenCommand(program: Command): void {
  program
    .command('keygen')
    .description('make a key: from new words, from words you have, or a raw secret')
    .addOption(new Option('--raw', 'a random secret, without words').conflicts('fromMnemonic'))
    .option('--from-mnemonic [words]', 'from these words, or from GRAPEVINE_MNEMONIC, which others cannot see')
    .option('--index <n>', 'which key of the words', readInteger(0, 2 ** 31 - 1), 0)
    .option('-o, --out <file>', 'encrypt the key into this new file instead of printing it')
    .option('--password-file <file>', 'password of the file; or GRAPEVINE_PASSWORD, or a prompt')
    .option('--json', 'print exactly one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine keygen                                  new words and their first key
  $ grapevine keygen -o alice.json                    the same, the key in an encrypted file
  $ grapevine keygen --raw -o bob.json --password-file pw
  $ GRAPEVINE_MNEMONIC="…" grapevine keygen --from-mnemonic --index 3`,
    )
    .action(async (options: KeygenOptions) => {
      const key = makeKey(options);
      const address = formatAddress(key.address);
      const shown = {
        address,
        publicKey: bytesToHex(key.publicKey),
        ...(key.path === undefined ? {} : { path: key.path }),
        ...(key.mnemonic === undefined ? {} : { mnemonic: key.mnemonic }),
      };
      if (options.out === undefined) {
        print(options.json, { ...shown, secretKey: bytesToHex(key.secretKey) });
      } else {
        const password = await readPassword(options.passwordFile, { prompt: 'Password for the key', isNew: true });
        await saveKeystore(options.out, await encryptKeystore(key.secretKey, password, randomBytes));
        print(options.json, { ...shown, keystore: options.out });
      }
      if (key.mnemonic !== undefined) printNote('Write the words down: whoever has them has the keys.');
    });
}

function randomBytes(length: number): Uint8Array {
  return createSystemRng().bytes(length);
}

function makeKey(options: KeygenOptions): MadeKey {
  if (options.raw === true) {
    const secretKey = generateSecretKey(randomBytes);
    const publicKey = publicKeyOf(secretKey);
    return { secretKey, publicKey, address: addressOf(publicKey) };
  }
  if (options.fromMnemonic !== undefined) {
    if (options.fromMnemonic === true && !process.env.GRAPEVINE_MNEMONIC) {
      throw new UsageError('--from-mnemonic: give the words, or set GRAPEVINE_MNEMONIC');
    }
    return keyFromMnemonic(readMnemonic({ fromMnemonic: options.fromMnemonic }, ''), options.index);
  }
  const mnemonic = generateMnemonic(randomBytes);
  return { ...keyFromMnemonic(mnemonic, options.index), mnemonic };
}

function print(json: boolean | undefined, document: Readonly<Record<string, string>>): void {
  if (json === true) printJson(document);
  else printTable(Object.entries(document));
}

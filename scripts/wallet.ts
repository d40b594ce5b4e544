/** `grapevine wallet balance` and `grapevine wallet history`. */
import type { Command } from 'commander';
import { formatAddress, parseAddress } from '../crypto/address.ts';
import type { AccountInfo } from '../node/api/schemas.ts';
import { type ApiOptions, addApiOptions, openClient, readInteger } from './api-options.ts';
import type { GrapevineClient } from './client.ts';
import { DEV_NETWORK, devAccounts } from './dev-accounts.ts';
import { UsageError } from './exit.ts';
import { addKeyOptions, type KeyOptions, loadAddress, namesKey } from './key-options.ts';
import { coins, printJson, printLine, printTable, short } from './output.ts';

type WalletOptions = ApiOptions & KeyOptions;

export function addWalletCommand(program: Command): void {
  const wallet = program
    .command('wallet')
    .description('show balances and histories')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine wallet balance                        on a devnet: its ten accounts
  $ grapevine wallet balance gv1p…
  $ grapevine wallet balance --keystore alice.json
  $ grapevine wallet history gv1p… --limit 5`,
    );

  addKeyOptions(addApiOptions(wallet.command('balance').description('show balance and nonce')))
    .argument('[address...]', 'whose; else the key named by an option')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine wallet balance gv1p… gv1p…
  $ grapevine wallet balance --index 3 --json`,
    )
    .action(async (addresses: readonly string[], options: WalletOptions) => {
      const client = openClient(options);
      const accounts = [];
      for (const address of await chooseAddresses(client, addresses, options)) {
        accounts.push(await client.account(address));
      }
      if (options.json === true) printJson({ accounts });
      else {
        printTable([
          ['address', 'balance', 'nonce', 'pending', 'waiting'],
          ...accounts.map((each) => [
            each.address,
            coins(each.balance),
            each.nonce,
            each.pendingNonce,
            waitingText(each.waiting),
          ]),
        ]);
      }
    });

  addKeyOptions(addApiOptions(wallet.command('history').description('list mined transfers, newest first')))
    .argument('[address]', 'whose; else the key named by an option')
    .option('--limit <n>', 'how many', readInteger(1, 100), 20)
    .option('--before <place>', 'only older ones: a height, or what the page before ended with')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine wallet history gv1p…
  $ grapevine wallet history --index 0 --limit 100 --json`,
    )
    .action(
      async (
        address: string | undefined,
        options: WalletOptions & { readonly limit: number; readonly before?: string },
      ) => {
        const client = openClient(options);
        const given = address === undefined ? [] : [address];
        const [whose] = await chooseAddresses(client, given, { ...options, index: options.index ?? 0 });
        const { limit, before } = options;
        const history = await client.history(whose!, { limit, ...(before === undefined ? {} : { before }) });
        if (options.json === true) {
          printJson(history);
          return;
        }
        printTable([
          ['height', 'state', '', 'amount', 'other side', 'id', 'memo'],
          ...history.entries.map((entry) => [
            entry.block.height,
            entry.state,
            entry.direction,
            coins(entry.amount),
            entry.direction === 'in' ? entry.from : entry.to,
            short(entry.id),
            entry.memoText ?? entry.memo,
          ]),
        ]);
        if (history.next !== undefined) printLine(`more: --before ${history.next}`);
      },
    );
}

async function chooseAddresses(
  client: GrapevineClient,
  given: readonly string[],
  options: KeyOptions,
): Promise<readonly string[]> {
  for (const address of given) {
    const parsed = parseAddress(address);
    if (!parsed.ok) throw new UsageError(`${address}: ${parsed.error}`);
  }
  if (given.length > 0) return given;
  if (options.keystore !== undefined) return [await loadAddress(options, '')];
  const { name } = (await client.status()).network;
  if (namesKey(options)) return [await loadAddress(options, name)];
  if (name === DEV_NETWORK) return devAccounts().map(({ address }) => formatAddress(address));
  throw new UsageError('whose balance? Give an address, --keystore or --from-mnemonic');
}

/** e.g. `1.5 in 3, 2 behind a gap`. */
export function waitingText({ transactions, parked, amount }: AccountInfo['waiting']): string {
  if (transactions === 0) return '0';
  return `${coins(amount)} in ${transactions}${parked === 0 ? '' : `, ${parked} behind a gap`}`;
}

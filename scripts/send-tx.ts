/** `grapevine send-tx`: one transfer, or many at a rate. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { MAX_MEMO_BYTES } from '../chain/params.ts';
import { keysFromMnemonic } from '../crypto/mnemonic.ts';
import { createSystemClock } from '../node/adapters.ts';
import { type ApiOptions, addApiOptions, openClient, readCoins, readInteger, readNumber } from './api-options.ts';
import type { TransactionState } from './client.ts';
import { DEV_ACCOUNT_COUNT } from './dev-accounts.ts';
import { EXIT, UsageError } from './exit.ts';
import { addKeyOptions, type KeyOptions, loadSecretKey, readMnemonic } from './key-options.ts';
import { runLoad, settleLoad } from './load.ts';
import { coins, printJson, printLine, printNote } from './output.ts';

interface SendTxOptions extends ApiOptions, KeyOptions {
  readonly to?: string;
  readonly amount?: bigint;
  readonly fee?: bigint;
  readonly memo?: string;
  readonly nonce?: number;
  readonly wait?: 'mined' | 'agreed' | 'final' | true;
  readonly timeout: number;
  readonly count?: number;
  readonly rate?: number;
}

/** 0.001 coins: a hundred thousand transfers cost an account a hundred coins and fees. */
const LOAD_AMOUNT = 100_000n;
const DEFAULT_RATE = 20;

export function addSendTxCommand(program: Command): void {
  const command = addApiOptions(program.command('send-tx').description('send coins, once or as load'))
    .option('--to <address>', 'recipient; with --count each account pays the next one')
    .option('--amount <coins>', 'such as 1.5, up to 8 decimals', readCoins)
    .option('--fee <coins>', "default: the network's minimum", readCoins)
    .option('--memo <text>', `up to ${MAX_MEMO_BYTES} bytes`, readMemo)
    .option('--nonce <n>', "default: the sender's next", readInteger(0, Number.MAX_SAFE_INTEGER));
  addKeyOptions(command)
    .addOption(
      new Option('--wait [state]', 'until the transaction is so far')
        .choices(['mined', 'agreed', 'final'])
        .preset('mined'),
    )
    .option('--timeout <seconds>', 'longest wait', readNumber(0, 86_400), 60)
    .option('--count <n>', `load: so many transfers from the mnemonic's first ten accounts`, readInteger(1, 1_000_000))
    .option('--rate <r>', `load: transfers per second (default: ${DEFAULT_RATE})`, readNumber(0.01, 10_000))
    .addHelpText(
      'after',
      `
On a devnet the sender is account 0 of the published mnemonic unless a key is named.

Examples:
  $ grapevine send-tx --to gv1p… --amount 1.5
  $ grapevine send-tx --to gv1p… --amount 0.25 --memo lunch --index 3 --wait final
  $ grapevine send-tx --to gv1p… --amount 10 --keystore alice.json
  $ grapevine send-tx --count 1000 --rate 50 --from-mnemonic --json`,
    )
    .action(async (options: SendTxOptions) => {
      if (options.count === undefined) await sendOnce(options);
      else await sendMany(options, options.count);
    });
}

async function sendOnce(options: SendTxOptions): Promise<void> {
  const { to, amount } = options;
  if (to === undefined) throw new UsageError('--to is missing: who is paid? (or --count, for load)');
  if (amount === undefined) throw new UsageError('--amount is missing');
  if (options.rate !== undefined) throw new UsageError('--rate is for load: it needs --count');
  const client = openClient(options);
  const { name } = (await client.status()).network;
  const secretKey = await loadSecretKey(options, name);
  const sent = await client.sendTransaction({
    secretKey,
    to,
    amount,
    ...sharedFields(options),
    ...nonceField(options),
  });
  const state = waitState(options);
  if (options.json !== true) {
    printLine(`${sent.id}  ${sent.parked ? 'parked: a lower nonce is missing' : sent.state}`);
    printNote(
      `${coins(amount.toString())} from ${sent.from} to ${to}, fee ${coins(sent.fee.toString())}, nonce ${sent.nonce}`,
    );
  }
  const reached = state && (await client.waitFor(sent.id, state, { timeoutMs: options.timeout * 1000 }));
  if (options.json === true) {
    printJson({
      id: sent.id,
      state: reached?.state ?? sent.state,
      parked: reached?.parked ?? sent.parked,
      from: sent.from,
      to,
      amount: amount.toString(),
      fee: sent.fee.toString(),
      nonce: sent.nonce.toString(),
      ...(reached?.block && { block: reached.block, confirmations: reached.confirmations }),
    });
  } else if (reached?.block !== undefined) {
    printLine(`${sent.id}  ${reached.state} at height ${reached.block.height}`);
  }
}

async function sendMany(options: SendTxOptions, count: number): Promise<void> {
  for (const [given, flag] of [
    [options.keystore, '--keystore'],
    [options.index, '--index'],
    [options.nonce, '--nonce'],
  ] as const) {
    if (given !== undefined) throw new UsageError(`${flag} does not go with --count: load uses ten accounts`);
  }
  const client = openClient(options);
  const clock = createSystemClock();
  const { name } = (await client.status()).network;
  const load = await runLoad({
    client,
    senders: keysFromMnemonic(readMnemonic(options, name), DEV_ACCOUNT_COUNT),
    count,
    ratePerS: options.rate ?? DEFAULT_RATE,
    amount: options.amount ?? LOAD_AMOUNT,
    ...(options.to === undefined ? {} : { to: options.to }),
    ...sharedFields(options),
    clock,
  });
  const state = waitState(options) ?? 'mined';
  const settled = await settleLoad(client, load.accepted, state, { timeoutMs: options.timeout * 1000, clock });
  const result = {
    submitted: load.submitted,
    accepted: load.accepted.length,
    rejected: load.rejected,
    [state]: settled.reached,
    dropped: settled.dropped,
    open: settled.open,
  };
  if (options.json === true) printJson(result);
  else {
    printLine(
      `submitted ${result.submitted}, accepted ${result.accepted}, ${state} ${settled.reached}, open ${settled.open}`,
    );
    for (const [code, times] of Object.entries(load.rejected)) printLine(`rejected ${code}: ${times}`);
    for (const [code, times] of Object.entries(settled.dropped)) printLine(`dropped ${code}: ${times}`);
  }
  if (settled.reached < load.submitted) process.exitCode = EXIT.refused;
}

function readMemo(text: string): string {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > MAX_MEMO_BYTES) throw new InvalidArgumentError(`It has ${bytes} bytes; ${MAX_MEMO_BYTES} are allowed.`);
  return text;
}

function waitState(options: SendTxOptions): Exclude<TransactionState, 'dropped' | 'pending'> | undefined {
  return options.wait === true ? 'mined' : options.wait;
}

function sharedFields(options: SendTxOptions): { fee?: bigint; memo?: string } {
  return {
    ...(options.fee === undefined ? {} : { fee: options.fee }),
    ...(options.memo === undefined ? {} : { memo: options.memo }),
  };
}

function nonceField(options: SendTxOptions): { nonce?: bigint } {
  return options.nonce === undefined ? {} : { nonce: BigInt(options.nonce) };
}

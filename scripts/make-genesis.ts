/** `grapevine make-genesis`. */
import { type Command, InvalidArgumentError } from 'commander';
import { genesisDoc, MAX_SPAN_MS, parseGenesis } from '../chain/genesis.ts';
import { bitsForHashes } from '../chain/target.ts';
import { type Address, parseAddress } from '../crypto/address.ts';
import { createSystemClock } from '../node/adapters.ts';
import { readInteger, readNumber } from './api-options.ts';
import { parseCoins } from './coins.ts';
import { DEV_BALANCE, DEV_NETWORK, DEV_WARNING, devAccounts, devVoter } from './dev-accounts.ts';
import { UsageError } from './exit.ts';
import { saveResult } from './new-file.ts';
import { printJson, printLine, printNote } from './output.ts';

const MAX_DEV_VOTERS = 100;
/** The easiest target there is, and a half-life so long that no run of quick blocks makes it harder. */
const INSTANT = {
  powLimitBits: bitsForHashes(2n),
  initialBits: bitsForHashes(2n),
  halfLifeMs: MAX_SPAN_MS,
  maxSolveTimeMs: 60_000,
};

interface Allocation {
  readonly address: Address;
  readonly balance: bigint;
}

interface MakeGenesisOptions {
  readonly name: string;
  readonly blockTime?: number;
  readonly voters: string;
  readonly minersWindow?: number;
  readonly alloc?: readonly Allocation[];
  readonly initialHashes?: number;
  readonly instant?: boolean;
  readonly timestamp?: number;
  readonly out?: string;
  readonly json?: boolean;
}

export function addMakeGenesisCommand(program: Command): void {
  program
    .command('make-genesis')
    .description('make the genesis document of a new network')
    .option('--name <name>', "'devnet' funds the ten published accounts unless --alloc is given", DEV_NETWORK)
    .option('--block-time <seconds>', 'time between blocks', readNumber(0.05, 3600))
    .requiredOption('--voters <list>', 'addresses, separated by commas; on a devnet a number of published ones')
    .option(
      '--miners-window <blocks>',
      'the authors of the last so many blocks vote; --voters do until there are so many',
      readInteger(1, 10_000),
    )
    .option('--alloc <address=coins>', 'who begins with how much; may be repeated', addAllocation)
    .option('--initial-hashes <n>', 'expected hashes of the first block', readInteger(1, 1e15))
    .option('--instant', 'blocks take a few hashes, for ever: for on-demand mining, as on a regtest')
    .option('--timestamp <time>', 'earliest time of the chain: ISO 8601, or milliseconds; default now', readTime)
    .option('-o, --out <file>', 'write a new file instead of printing')
    .option('--json', 'print exactly one JSON document (without -o the genesis document is one)')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine make-genesis --voters 5 -o genesis.json
  $ grapevine make-genesis --voters 1 --instant -o genesis.json
  $ grapevine make-genesis --name lab --voters gv1p…,gv1p… --alloc gv1p…=1000 --block-time 5 -o genesis.json`,
    )
    .action(async (options: MakeGenesisOptions) => {
      const doc = makeGenesis(options, createSystemClock().nowMs());
      const text = `${JSON.stringify(doc, null, 2)}\n`;
      if (options.out === undefined) {
        if (options.json === true) printJson(doc);
        else process.stdout.write(text);
        return;
      }
      await saveResult(options.out, text, ': a genesis is never overwritten, its network would be gone');
      const { chainId } = parseGenesis(doc);
      if (options.json === true) printJson({ file: options.out, name: doc.name, chainId, voters: doc.voters });
      else printLine(`${options.out}: network ${doc.name}, chain id ${chainId}`);
      if (doc.name === DEV_NETWORK) printNote(DEV_WARNING);
    });
}

function makeGenesis(options: MakeGenesisOptions, nowMs: number) {
  const isDevnet = options.name === DEV_NETWORK;
  const alloc =
    options.alloc ?? (isDevnet ? devAccounts().map(({ address }) => ({ address, balance: DEV_BALANCE })) : []);
  return genesisDoc({
    name: options.name,
    timestampMs: options.timestamp ?? Math.floor(nowMs),
    alloc,
    voters: readVoters(options.voters, isDevnet),
    ...(options.minersWindow === undefined
      ? {}
      : { electorate: { kind: 'miners', window: options.minersWindow } as const }),
    params: {
      ...(options.instant === true ? INSTANT : {}),
      ...(options.blockTime === undefined ? {} : { blockTimeMs: Math.round(options.blockTime * 1000) }),
      ...(options.initialHashes === undefined ? {} : { initialBits: bitsForHashes(BigInt(options.initialHashes)) }),
    },
  });
}

function readVoters(text: string, isDevnet: boolean): readonly Address[] {
  if (/^\d{1,4}$/.test(text)) {
    const count = Number(text);
    if (!isDevnet) throw new UsageError('--voters: published voters are for devnets; give addresses');
    if (count < 1 || count > MAX_DEV_VOTERS) throw new UsageError(`--voters: 1 to ${MAX_DEV_VOTERS}, not ${count}`);
    return Array.from({ length: count }, (_, node) => devVoter(node).address);
  }
  return text.split(',').map((item) => {
    const parsed = parseAddress(item.trim());
    if (!parsed.ok) throw new UsageError(`--voters: '${item}': ${parsed.error}`);
    return parsed.address;
  });
}

function addAllocation(text: string, before: readonly Allocation[] = []): readonly Allocation[] {
  const [address = '', amount, ...rest] = text.split('=');
  if (amount === undefined || rest.length > 0) throw new InvalidArgumentError('expected address=coins');
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new InvalidArgumentError(parsed.error);
  try {
    return [...before, { address: parsed.address, balance: parseCoins(amount) }];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function readTime(text: string): number {
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('expected 2026-01-31T12:00:00Z or milliseconds');
  return ms;
}

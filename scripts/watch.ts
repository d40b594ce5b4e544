/** `grapevine watch`: what happens on a node, a line each. */
import { type Command, InvalidArgumentError } from 'commander';
import { type ApiOptions, addApiOptions, openClient, readInteger } from './api-options.ts';
import type { ChainEvent, EventType } from './client.ts';
import { coins, counted, printJson, printLine, printNote, short } from './output.ts';

const TYPES: readonly EventType[] = ['tx', 'block', 'reorg', 'agreed', 'final', 'evidence'];

export function addWatchCommand(program: Command): void {
  addApiOptions(program.command('watch').description('follow what happens on a node'), 'print a JSON document a line')
    .option('--types <list>', `only these, of ${TYPES.join(',')}`, readTypes)
    .option('--count <n>', 'stop after so many', readInteger(1, 1_000_000_000))
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine watch
  $ grapevine watch --types block,final --count 10
  $ grapevine watch --types tx --json | jq .id`,
    )
    .action(async (options: ApiOptions & { readonly types?: readonly EventType[]; readonly count?: number }) => {
      const stop = new AbortController();
      const onSignal = () => stop.abort();
      process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
      try {
        let left = options.count ?? Number.POSITIVE_INFINITY;
        const onReconnect = (why: string) => printNote(`connection lost (${why}), trying again`);
        for await (const event of openClient(options).events(options.types, { signal: stop.signal, onReconnect })) {
          if (event.type === 'hello') {
            printNote(`connected to ${event.name} of ${event.network}, height ${event.height}`);
            continue;
          }
          if (options.json === true) printJson(event);
          else printLine(describe(event));
          left -= 1;
          if (left <= 0) break;
        }
      } finally {
        process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal);
      }
    });
}

function readTypes(text: string): readonly EventType[] {
  return text.split(',').map((name) => {
    const type = TYPES.find((known) => known === name.trim());
    if (type === undefined) throw new InvalidArgumentError(`'${name}' is none of ${TYPES.join(', ')}`);
    return type;
  });
}

function describe(event: ChainEvent): string {
  switch (event.type) {
    case 'tx': {
      const what = event.state === 'dropped' ? `dropped (${event.reason})` : event.parked ? 'parked' : 'pending';
      return `tx      ${short(event.id)}  ${what}  ${coins(event.amount)} from ${event.from} to ${event.to}`;
    }
    case 'block':
      return `block   ${event.height}  ${short(event.id)}  ${counted(event.txCount, 'transaction')}, by ${event.miner} (${event.source})`;
    case 'reorg':
      return `reorg   ${event.from.height} → ${event.to.height}, from ${event.forkPoint.height} up: ${counted(event.abandonedBlocks.length, 'block')} and ${counted(event.abandonedTransactions.length, 'transaction')} abandoned`;
    case 'agreed':
      return `agreed  ${event.height}  ${short(event.id)}  ${event.votes} of ${counted(event.n, 'vote')}`;
    case 'final':
      return `final   ${event.height}  ${short(event.id)}`;
    case 'evidence':
      return `evidence  ${event.kind} vote by ${event.voter}, targets ${event.first.target.height} and ${event.second.target.height}: its votes no longer count`;
    default:
      return event satisfies never;
  }
}

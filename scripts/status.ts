/** `grapevine status`. */
import type { Command } from 'commander';
import { type ApiOptions, addApiOptions, openClient } from './api-options.ts';
import type { NodeStatus } from './client.ts';
import { coins, counted, printable, printJson, printTable, short } from './output.ts';

export function addStatusCommand(program: Command): void {
  addApiOptions(program.command('status').description('show a node at a glance'))
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine status
  $ grapevine status --api http://127.0.0.1:7402 --json`,
    )
    .action(async (options: ApiOptions) => {
      const status = await openClient(options).status();
      if (options.json === true) printJson(status);
      else printStatus(status);
    });
}

function printStatus(status: NodeStatus): void {
  const { network, mempool, mining, voting, gossip } = status;
  const at = (ref: { readonly height: string; readonly id: string }) => `${ref.height}  ${short(ref.id)}`;
  const parked = mempool.parked === 0 ? '' : `, ${mempool.parked} parked`;
  const finds = mining.mode === 'off' ? '' : `, ${mining.hashRate.toFixed(0)} H/s, ${mining.blocks} found`;
  printTable([
    ['node', `${printable(status.name)}, version ${printable(status.version)}, up ${seconds(status.uptimeMs)}`],
    ['state', status.ready ? 'ready' : `not ready: ${printable(status.missing.join(', '))}`],
    ['peer id', status.peerId],
    ['network', `${network.name}, a block every ${seconds(network.blockTimeMs)}, ${counted(network.voters, 'voter')}`],
    ['chain id', network.chainId],
    ['minimum fee', coins(network.minFee)],
    ['tip', at(status.tip) + (status.syncing ? '  (syncing)' : '')],
    ...(status.bodiesFrom === '0' ? [] : [['blocks', `from height ${status.bodiesFrom} on; older ones were pruned`]]),
    ['agreed', at(status.agreed)],
    ['final', at(status.final)],
    ['peers', String(status.peers)],
    ['mempool', `${counted(mempool.count, 'transaction')}, ${counted(mempool.bytes, 'byte')}${parked}`],
    ['mining', `${mining.mode}${finds}`],
    ['voting', voting.movedAway ? 'no: moved away' : voting.elector ? (voting.address ?? 'yes') : 'no'],
    [
      'gossip',
      [
        `${counted(gossip.messages, 'message')}, ${counted(gossip.copies, 'copy', 'copies')}`,
        `${counted(gossip.txs, 'transaction')}, ${counted(gossip.txCopies, 'copy', 'copies')}`,
      ].join('; '),
    ],
    ['errors', String(status.internalErrors)],
  ]);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).replace(/\.0$/, '')} s`;
}

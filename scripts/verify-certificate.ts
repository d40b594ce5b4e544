/** `grapevine verify-certificate`: checks a certificate offline, with nothing but the genesis. */
import type { Command } from 'commander';
import type { Genesis } from '../chain/genesis.ts';
import { type CertificateProof, verifyCertificate } from '../chain/verify-certificate.ts';
import { formatAddress } from '../crypto/address.ts';
import { RefusedError } from './exit.ts';
import { readGenesis, readJsonOrInput } from './json-file.ts';
import { counted, printJson, printLine } from './output.ts';
import { commandBackend } from './signature-backend.ts';

export function addVerifyCertificateCommand(program: Command): void {
  program
    .command('verify-certificate')
    .description('check a certificate offline: exit status 0 where it holds, 1 where it does not')
    .argument('<file>', 'what `certificate` wrote; - is standard input')
    .requiredOption('--genesis <file>', 'the genesis document of the network')
    .option('--json', 'print exactly one JSON document')
    .addHelpText(
      'after',
      `
What it says of a block is never more than the document claims: agreed is not final.

Examples:
  $ grapevine certificate 20 -o block20.json
  $ grapevine verify-certificate block20.json --genesis genesis.json
  $ grapevine certificate 20 | grapevine verify-certificate - --genesis genesis.json`,
    )
    .action(async (file: string, options: { readonly genesis: string; readonly json?: boolean }) => {
      const genesis = await readGenesis(options.genesis);
      const json = await readJsonOrInput(file, (message) => new RefusedError('certificate/malformed', message));
      const verdict = verifyCertificate(json, genesis, await commandBackend());
      if (!verdict.ok) throw new RefusedError(verdict.fault, verdict.detail);
      const { block, state, proved, headers, links, totalWork, decidedBy } = verdict.proof;
      if (options.json !== true) {
        printProof(verdict.proof, genesis);
        return;
      }
      printJson({
        chainId: genesis.chainId,
        block: { height: block.height.toString(), id: block.id },
        state,
        proved,
        // Of the forward electorate; the list of the genesis where that is the electorate.
        n: decidedBy?.tallies[0]?.total ?? 0,
        quorum: decidedBy?.tallies[0]?.quorum ?? 0,
        headers,
        links,
        totalWork: totalWork.toString(),
        voters: decidedBy?.voters.map(formatAddress) ?? [],
        tallies: decidedBy?.tallies.map(({ asOf, ...tally }) => ({ ...tally, asOf: asOf.height.toString() })) ?? [],
      });
    });
}

/** By what the document claims, and what it proves. */
const WORDS = {
  agreed: {
    agreed: ', not final: the chain may still leave it',
    final: ', as the document claims; its votes prove it final as well',
  },
  final: { agreed: '', final: '' },
} as const;

function printProof(proof: CertificateProof, { chainId, electorateRule }: Genesis): void {
  const { block, state, proved, headers, links, totalWork, decidedBy } = proof;
  printLine(`block ${block.height} ${block.id} is ${state}${WORDS[state][proved]}`);
  printLine(`on chain ${chainId}`);
  if (decidedBy === undefined) {
    printLine('it is the genesis block, which is agreed and final by itself');
    return;
  }
  const { source, target, voters, tallies } = decidedBy;
  for (const { asOf, weight, total, quorum } of tallies) {
    const what =
      electorateRule.kind === 'genesis'
        ? `${counted(weight, 'vote')} of ${counted(total, 'voter')}, ${quorum} needed,`
        : `votes of weight ${weight} of ${total}, ${quorum} needed, of the miners as of block ${asOf.height},`;
    printLine(`by ${what} for ${source.height} → ${target.height}:`);
  }
  for (const voter of voters) printLine(`  ${formatAddress(voter)}`);
  printLine(`checked from genesis: ${counted(links, 'link')}, ${counted(headers, 'header')}, total work ${totalWork}`);
}

/** `grapevine certificate`: fetches what proves a block agreed or final. */
import { type Command, Option } from 'commander';
import type { CertificateDocument } from '../chain/certificate-document.ts';
import { parseU64 } from '../chain/decimal.ts';
import { createSystemClock } from '../node/adapters.ts';
import type { Clock } from '../node/ports.ts';
import { type ApiOptions, addApiOptions, openClient } from './api-options.ts';
import type { GrapevineClient } from './client.ts';
import { RefusedError, UsageError } from './exit.ts';
import { saveResult } from './new-file.ts';
import { counted, printJson, printLine } from './output.ts';
import { untilAdmitted } from './until-admitted.ts';

interface CertificateOptions extends ApiOptions {
  readonly out?: string;
  readonly state?: 'agreed' | 'final';
}

type CertificateSource = Pick<GrapevineClient, 'certificate'>;

/** How long a busy node is asked again for one piece: twice as long as it waits for others to take theirs. */
const BUSY_MS = 60_000;
const forever = new AbortController().signal;

export function addCertificateCommand(program: Command): void {
  addApiOptions(
    program
      .command('certificate')
      .description('fetch the votes and headers that prove a block agreed or final')
      .argument('<height>', 'of the block'),
  )
    .addOption(
      new Option('--state <state>', 'prove this; default: the best the block has').choices(['agreed', 'final']),
    )
    .option('-o, --out <file>', 'write a new file instead of printing')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine certificate 20 -o block20.json
  $ grapevine verify-certificate block20.json --genesis genesis.json`,
    )
    .action(async (height: string, options: CertificateOptions) => {
      if (parseU64(height) === undefined) throw new UsageError(`'${height}' is not a height`);
      const document = await fetchCertificate(openClient(options), height, options.state, createSystemClock());
      if (options.out === undefined) {
        printJson(document);
        return;
      }
      await saveResult(options.out, `${JSON.stringify(document)}\n`);
      const { block, state, headers, links } = document;
      if (options.json === true) printJson({ file: options.out, block, state });
      else
        printLine(
          `${options.out}: block ${block.height} ${state}, ${counted(headers.length, 'header')}, ${counted(links.length, 'link')}`,
        );
    });
}

/**
 * One document from genesis, put together from as many pieces as the node gives it in.
 *
 * @throws RefusedError where the pieces do not fit, GrapevineError where the node refuses one or stays busy
 */
export async function fetchCertificate(
  client: CertificateSource,
  height: string,
  state: 'agreed' | 'final' | undefined,
  clock: Clock,
): Promise<CertificateDocument> {
  let whole = await fetchPiece(client, height, state, clock);
  while (whole.from.height !== '0') {
    const piece = await fetchPiece(client, whole.from.height, 'agreed', clock);
    const isFitting = piece.block.id === whole.from.id && piece.links.at(-1)?.target.id === whole.from.id;
    if (!isFitting) {
      throw new RefusedError(
        'not-found',
        `the node has nothing that proves block ${whole.from.height} ${whole.from.id}`,
      );
    }
    whole = {
      ...whole,
      from: piece.from,
      headers: [...piece.headers, ...whole.headers],
      links: [...piece.links, ...whole.links],
    };
  }
  return whole;
}

/** A node collects few certificates at a time: whoever others are before asks again, or loses the pieces it has. */
function fetchPiece(
  client: CertificateSource,
  height: string,
  state: 'agreed' | 'final' | undefined,
  clock: Clock,
): Promise<CertificateDocument> {
  const limit = { untilMs: clock.monotonicMs() + BUSY_MS };
  return untilAdmitted(() => client.certificate(height, state), clock, forever, limit);
}

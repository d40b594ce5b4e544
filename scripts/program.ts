/** The commands, and how they end: 0 done, 1 refused by the node, 2 bad usage. */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../node/version.ts';
import { EXIT, isPathFault, RefusedError, UsageError } from './exit.ts';
import { printable, printJson } from './output.ts';

interface CommandEntry {
  readonly name: string;
  readonly description: string;
  /** Adds the command. Loaded only when named: the node's libraries take a second to load, help should not. */
  readonly add: (program: Command) => Promise<void>;
}

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'devnet',
    description: 'run a network of several nodes on this machine',
    add: async (program) => (await import('./devnet.ts')).addDevnetCommand(program),
  },
  {
    name: 'node',
    description: 'run one node in the foreground',
    add: async (program) => (await import('./node.ts')).addNodeCommand(program),
  },
  {
    name: 'status',
    description: 'show a node at a glance',
    add: async (program) => (await import('./status.ts')).addStatusCommand(program),
  },
  {
    name: 'send-tx',
    description: 'send coins, once or as load',
    add: async (program) => (await import('./send-tx.ts')).addSendTxCommand(program),
  },
  {
    name: 'wallet',
    description: 'show balances and histories',
    add: async (program) => (await import('./wallet.ts')).addWalletCommand(program),
  },
  {
    name: 'watch',
    description: 'follow what happens on a node',
    add: async (program) => (await import('./watch.ts')).addWatchCommand(program),
  },
  {
    name: 'mine',
    description: 'mine blocks now',
    add: async (program) => (await import('./mine.ts')).addMineCommand(program),
  },
  {
    name: 'sim',
    description: 'run a scenario file on virtual time',
    add: async (program) => (await import('./sim.ts')).addSimCommand(program),
  },
  {
    name: 'keygen',
    description: 'make a key',
    add: async (program) => (await import('./keygen.ts')).addKeygenCommand(program),
  },
  {
    name: 'make-genesis',
    description: 'make the genesis document of a new network',
    add: async (program) => (await import('./make-genesis.ts')).addMakeGenesisCommand(program),
  },
  {
    name: 'db',
    description: 'check, mend, move and shrink the store of a stopped node',
    add: async (program) => (await import('./db.ts')).addDbCommand(program),
  },
  {
    name: 'certificate',
    description: 'fetch the votes and headers that prove a block agreed or final',
    add: async (program) => (await import('./certificate.ts')).addCertificateCommand(program),
  },
  {
    name: 'verify-certificate',
    description: 'check a certificate offline',
    add: async (program) => (await import('./verify-certificate.ts')).addVerifyCertificateCommand(program),
  },
  {
    name: 'vote-protection',
    description: 'move a voter to another machine',
    add: async (program) => (await import('./vote-protection.ts')).addVoteProtectionCommand(program),
  },
];

/**
 * Runs one command.
 *
 * @param args without the program's name
 * @returns the exit status
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const program = new Command('grapevine')
    .description('A blockchain-style node that shows how gossip works')
    .exitOverride()
    .showHelpAfterError('(--help says more)')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine devnet                                      five nodes, Ctrl-C stops them
  $ grapevine send-tx --to gv1p… --amount 1.5 --wait final
  $ grapevine watch --types block,final

Exit status: 0 done, 1 refused by the node (with its reason code), 2 bad usage.`,
    );
  try {
    if (args[0] === '--version' || args[0] === '-V') {
      process.stdout.write(`${VERSION}\n`);
      return EXIT.done;
    }
    const words = args.filter((arg) => !arg.startsWith('-'));
    const wanted = words[0] === 'help' ? words[1] : words[0];
    program.option('-V, --version', 'print the version');
    for (const command of COMMANDS) {
      if (command.name === wanted) await command.add(program);
      else program.command(command.name).description(command.description);
    }
    await program.parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    return endWith(error, args.includes('--json'));
  }
}

/** What went wrong, on standard error; with `--json` also as the one document on standard output. */
function endWith(error: unknown, json: boolean): number {
  // Commander has printed help or its own complaint.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  const message = printable(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError || isUsageFault(error)) {
    process.stderr.write(`error: ${message}\n`);
    return EXIT.usage;
  }
  if (!(error instanceof RefusedError || isClientError(error))) {
    if (json) printJson({ error: { code: 'internal-error', status: 0, detail: message } });
    process.stderr.write(`error: ${error instanceof Error ? error.stack : message}\n`);
    return EXIT.refused;
  }
  const code = printable(error.code);
  if (json) printJson({ error: { code, status: isClientError(error) ? error.status : 0, detail: message } });
  process.stderr.write(code.startsWith('client/') ? `error: ${message}\n` : `refused: ${code}: ${message}\n`);
  return EXIT.refused;
}

/** By name: their modules are not loaded for commands that do not use them. */
function isClientError(error: unknown): error is Error & { readonly code: string; readonly status: number } {
  return error instanceof Error && error.name === 'GrapevineError';
}

/** A file or a value that the user named is not what the command can use. */
function isUsageFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isClientError(error)) return error.code === 'client/bad-argument';
  if (isPathFault(error)) return true;
  return ['KeystoreError', 'KeystoreFileError', 'GenesisError', 'ConfigError', 'ScenarioError'].includes(error.name);
}

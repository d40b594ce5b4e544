/** `grapevine`: one program for all commands. */
import { runCli } from './program.ts';

// Whoever reads our output may stop early: `grapevine watch | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (process.stdout.listenerCount('error') > 1) return; // a command for which it matters listens itself
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`cannot write standard output: ${error.message}\n`);
  process.exit(1);
});

const status = await runCli(process.argv.slice(2));
// A command that goes on running, such as `node`, sets its own.
if (status !== 0) process.exitCode = status;

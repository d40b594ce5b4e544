/** `grapevine`: one program for all commands. */
import { runCli } from './program.ts';

// Whoever reads our output may stop early: `grapevine watch | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const status = await runCli(process.argv.slice(2));
// A command that goes on running, such as `node`, sets its own.
if (status !== 0) process.exitCode = status;

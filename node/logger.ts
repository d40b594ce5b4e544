/** Logs: JSON lines by default, readable text on a terminal. */
import { createRequire } from 'node:module';
import { type DestinationStream, pino } from 'pino';
import type pretty from 'pino-pretty';
import type { LogLevel, NodeConfig } from './config.ts';
import type { Logger } from './ports.ts';

/** Loaded where text is wanted: 55 modules and 10 MB that a node with JSON logs does without. */
const loadPretty = (): typeof pretty => createRequire(import.meta.url)('pino-pretty');

/** Lines that wait for room on a full disk, in characters. */
const MAX_WAITING = 1024 * 1024;
/** Of a disk that is full, or broken. */
const DISK_FAULTS: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO']);

/**
 * Writes at once, so that nothing is lost in a crash. What a full disk does not take waits, and is dropped where it is too
 * much: a node that goes on without its store must not end for its log.
 *
 * @param fd of the open file
 */
export function openLog(fd: number): DestinationStream {
  const log = pino.destination({ dest: fd, sync: true, maxLength: MAX_WAITING });
  log.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever read it has gone, as `tee` does first at Ctrl-C: the node goes on, or stops in order, without it.
    if (error.code === 'EPIPE') log.write = () => false;
    else if (!DISK_FAULTS.has(error.code)) throw error;
  });
  return log;
}

/**
 * @param format `auto`: text where the destination is a terminal
 * @param destination default: standard output
 */
export function createLogger(options: {
  readonly level: LogLevel;
  readonly format: NodeConfig['logFormat'];
  readonly bindings?: object;
  readonly destination?: DestinationStream;
}): Logger {
  const { level, format, bindings = {} } = options;
  const isPretty =
    format === 'pretty' || (format === 'auto' && process.stdout.isTTY && options.destination === undefined);
  const destination =
    options.destination ??
    (isPretty
      ? loadPretty()({ sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l' })
      : openLog(process.stdout.fd));
  return pino(
    { level, base: { pid: process.pid, ...bindings }, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  );
}

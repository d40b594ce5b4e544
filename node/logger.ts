/** Logs: JSON lines by default, readable text on a terminal. */
import { createRequire } from 'node:module';
import { type DestinationStream, pino } from 'pino';
import type pretty from 'pino-pretty';
import type { LogLevel, NodeConfig } from './config.ts';
import type { Logger } from './ports.ts';

/** Loaded where text is wanted: 55 modules and 10 MB that a node with JSON logs does without. */
const loadPretty = (): typeof pretty => createRequire(import.meta.url)('pino-pretty');

/**
 * @param format `auto`: text where the destination is a terminal
 * @param destination default: standard output, written synchronously so that nothing is lost in a crash
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
      : pino.destination({ dest: 1, sync: true }));
  return pino(
    { level, base: { pid: process.pid, ...bindings }, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  );
}

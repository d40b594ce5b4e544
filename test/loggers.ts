/** Loggers for tests: one that says nothing, and one whose lines the test reads. */
import type { Logger } from '../node/ports.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** With what the logger's ancestors were bound to. */
  readonly fields: object;
  readonly message: string;
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

/** A logger whose lines, and those of its children, are kept in order. */
export function recordingLogger(): { readonly logger: Logger; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const create = (bindings: object): Logger => {
    const at = (level: LogLine['level']) => (fields: object, message: string) => {
      lines.push({ level, fields: { ...bindings, ...fields }, message });
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (more) => create({ ...bindings, ...more }),
    };
  };
  return { logger: create({}), lines };
}

/** How commands end. */
export const EXIT = { done: 0, refused: 1, usage: 2 } as const;

/**
 * Signals this close together are one: a terminal sends Ctrl-C to the whole process group, and npm passes it on to
 * its child once more.
 */
export const SAME_SIGNAL_MS = 500;

/** The command was used wrongly: exit status 2, the message on standard error, no stack. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** The node said no, or does not answer: exit status 1. `code` is the reason code where there is one. */
export class RefusedError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'RefusedError';
    this.code = code;
  }
}

const PATH_FAULTS = new Set([
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOENT',
  'ENOTDIR',
  'EPERM',
  'EROFS',
]);

/** The file system refuses a path: one that the user named, or one below it. Its message names the path. */
export function isPathFault(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error)) return false;
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  return code !== undefined && PATH_FAULTS.has(code) && path !== undefined && syscall?.startsWith('spawn') !== true;
}

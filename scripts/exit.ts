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

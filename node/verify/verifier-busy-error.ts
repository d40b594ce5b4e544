/** Back-pressure: too many bulk signatures wait already. Nothing was checked; the same request may succeed later. */
export class VerifierBusyError extends Error {
  constructor(waiting: number) {
    super(`${waiting} signatures wait to be checked already`);
    this.name = 'VerifierBusyError';
  }
}

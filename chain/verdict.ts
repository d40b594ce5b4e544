/**
 * What a check decides. `reject` is only for what no honest peer could send; a race, a gap or missing context
 * is `ignore`. A peer's fault is a value, never an exception.
 */
export type Verdict<T, R extends string> =
  | { readonly kind: 'accept'; readonly value: T }
  | { readonly kind: 'ignore'; readonly reason: R }
  | { readonly kind: 'reject'; readonly reason: R };

/** `value` is what was checked, or what the check has made of it. */
export function accept<T>(value: T): { readonly kind: 'accept'; readonly value: T } {
  return { kind: 'accept', value };
}

/** Nobody's fault. The same object may be accepted later, so its id must not be remembered as invalid. */
export function ignore<R extends string>(reason: R): { readonly kind: 'ignore'; readonly reason: R } {
  return { kind: 'ignore', reason };
}

/** Counts against the sender: never for what an honest peer behind or ahead of us, or on another branch, may send. */
export function reject<R extends string>(reason: R): { readonly kind: 'reject'; readonly reason: R } {
  return { kind: 'reject', reason };
}

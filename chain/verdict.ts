/**
 * What a check decides. `reject` is only for what no honest peer could send; a race, a gap or missing context
 * is `ignore`. A peer's fault is a value, never an exception.
 */
export type Verdict<T, R extends string> =
  | { readonly kind: 'accept'; readonly value: T }
  | { readonly kind: 'ignore'; readonly reason: R }
  | { readonly kind: 'reject'; readonly reason: R };

export function accept<T>(value: T): { readonly kind: 'accept'; readonly value: T } {
  return { kind: 'accept', value };
}

export function ignore<R extends string>(reason: R): { readonly kind: 'ignore'; readonly reason: R } {
  return { kind: 'ignore', reason };
}

export function reject<R extends string>(reason: R): { readonly kind: 'reject'; readonly reason: R } {
  return { kind: 'reject', reason };
}

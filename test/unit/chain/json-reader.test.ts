import { describe, expect, test } from 'vitest';
import { JsonReader } from '../../../chain/json-reader.ts';
import { MAX_U64 } from '../../../chain/params.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { alice } from './chain-fixtures.ts';

class Refusal extends Error {}
const read = new JsonReader((place, problem) => new Refusal(`${place}: ${problem}`));
const refusal = (message: string) => new Refusal(message);

describe('an object', () => {
  test('has its keys, and may have the optional ones', () => {
    expect(read.objectAt({ a: 1 }, 'x', ['a'], ['b'])).toEqual({ a: 1 });
    expect(read.objectAt({ b: 2, a: 1 }, 'x', ['a'], ['b'])).toEqual({ a: 1, b: 2 });
  });

  test.each([[null], [[]], ['{}'], [7], [undefined]])('is not %j', (json) => {
    expect(() => read.objectAt(json, 'x', [])).toThrow(refusal('x: must be an object'));
  });

  test('has no other keys, lacks none, and what is wrong is named by its place', () => {
    expect(() => read.objectAt({ a: 1, c: 3 }, 'x', ['a'])).toThrow(refusal('x.c: is not a known key'));
    expect(() => read.objectAt({ c: 3 }, '', ['a'])).toThrow(refusal('c: is not a known key'));
    expect(() => read.objectAt({ b: 2 }, 'x', ['a', 'b'])).toThrow(refusal('x.a: is missing'));
    expect(() => read.objectAt({}, '', ['toString'])).toThrow(refusal('toString: is missing'));
    const long = { ['k'.repeat(1_000_000)]: 1 };
    expect(() => read.objectAt(long, 'x', [])).toThrow(refusal(`x.${'k'.repeat(40)}: is not a known key`));
  });
});

test('of a document the format comes first: another one has other keys', () => {
  expect(read.documentAt({ format: 'f/1', a: 1 }, 'f/1', ['a'])).toEqual({ format: 'f/1', a: 1 });
  for (const json of [{ format: 'f/2', b: 1 }, { b: 1 }, { format: 1 }]) {
    expect(() => read.documentAt(json, 'f/1', ['a'])).toThrow(refusal("format: must be 'f/1'"));
  }
  expect(() => read.documentAt({ format: 'f/1', b: 1 }, 'f/1', ['a'])).toThrow(refusal('b: is not a known key'));
  expect(() => read.documentAt([], 'f/1', ['a'])).toThrow(refusal(': must be an object'));
});

test('values of the right kind and range are given', () => {
  expect(read.arrayAt([1, 2], 'x', 2)).toEqual([1, 2]);
  expect(read.stringAt('', 'x')).toBe('');
  expect(read.booleanAt(false, 'x')).toBe(false);
  expect(read.integerAt(-3, 'x', -3, 5)).toBe(-3);
  expect(read.u64At('18446744073709551615', 'x')).toBe(MAX_U64);
  expect(read.u64At('5', 'x', 5n, 5n)).toBe(5n);
  expect(read.addressAt(formatAddress(alice.address), 'x')).toBe(alice.address);
});

test.each([
  ['arrayAt', () => read.arrayAt({}, 'x'), 'must be an array'],
  ['arrayAt', () => read.arrayAt([1, 2, 3], 'x', 2), 'must have at most 2 items'],
  ['stringAt', () => read.stringAt(7, 'x'), 'must be a string'],
  ['booleanAt', () => read.booleanAt('true', 'x'), 'must be true or false'],
  ['integerAt', () => read.integerAt('4', 'x', 1, 5), 'must be a whole number from 1 to 5'],
  ['integerAt', () => read.integerAt(1.5, 'x', 1, 5), 'must be a whole number from 1 to 5'],
  ['integerAt', () => read.integerAt(6, 'x', 1, 5), 'must be a whole number from 1 to 5'],
  ['u64At', () => read.u64At(4, 'x', 1n, 5n), 'must be a decimal string from 1 to 5'],
  ['u64At', () => read.u64At('0', 'x', 1n, 5n), 'must be a decimal string from 1 to 5'],
  ['u64At', () => read.u64At('18446744073709551616', 'x'), `must be a decimal string from 0 to ${MAX_U64}`],
  ['addressAt', () => read.addressAt(7, 'x'), 'must be a string'],
])('%s refuses what is not', (_method, run, problem) => {
  expect(run).toThrow(refusal(`x: ${problem}`));
});

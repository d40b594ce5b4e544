import { expect, test } from 'vitest';
import { COMPARED, NOT_COMPARED } from '../../../bench/compared.ts';
import rows from '../../../bench/rows.json' with { type: 'json' };

test('each committed ratio is compared, or it says why not', () => {
  const named = rows.filter(({ ratio }) => ratio !== null).map(({ name }) => name);
  const isCompared = (name: string): boolean => COMPARED.some(({ row }) => row === name);
  const isExplained = (name: string): boolean => Object.keys(NOT_COMPARED).some((begin) => name.startsWith(begin));
  expect(named.filter((name) => isCompared(name) === isExplained(name))).toEqual([]);
  expect(COMPARED.filter(({ row }) => !named.includes(row))).toEqual([]);
});

import type { TSchema } from 'typebox';
import { describe, expect, it } from 'vitest';
import { compileSerializer, compileValidator } from '../../../node/api/schema-compilers.ts';
import * as schemas from '../../../node/api/schemas.ts';

const all = Object.entries(schemas as Record<string, unknown>).filter(
  (entry): entry is [string, TSchema] =>
    typeof entry[1] === 'object' && entry[1] !== null && ('type' in entry[1] || 'anyOf' in entry[1]),
);
const route = (schema: TSchema) => ({ schema, method: 'GET', url: '/', httpPart: 'body' });

// They are compiled when they are first wanted, and so where no start would show a mistake.
describe('each schema can be compiled', () => {
  it('more than thirty schemas were found', () => expect(all.length).toBeGreaterThan(30));

  it.each(all)('%s: requests', (_, schema) => {
    expect(compileValidator(route(schema))(Symbol.iterator)).toHaveProperty('error');
  });

  it.each(all)('%s: answers', (_, schema) => {
    const answer = (): unknown => compileSerializer(route(schema))({});
    // What an empty object lacks is said by the compiled code.
    try {
      expect(answer()).toMatch(/^[{["]/);
    } catch (error) {
      expect((error as Error).message).toMatch(/is required!$|does not match schema definition\.$/);
    }
  });
});

it('an answer says what its schema names, and nothing else', () => {
  const serialize = compileSerializer(route(schemas.ConnectResult));
  expect(serialize({ address: '/ip4/127.0.0.1/tcp/1', secret: 'kept' })).toBe('{"address":"/ip4/127.0.0.1/tcp/1"}');
});

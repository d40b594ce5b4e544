/** Requests against their schemas: nothing is coerced but whole numbers in queries, nothing unknown is dropped. */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = Compile(schema);
  const integers = httpPart === 'querystring' ? integerProperties(schema) : [];
  return (value: unknown) => {
    const input = integers.length === 0 ? value : readIntegers(value, integers);
    return check.Check(input) ? { value: input } : { error: check.Errors(input) };
  };
};

function integerProperties(schema: object): readonly string[] {
  if (!('properties' in schema)) return [];
  const properties = Object.entries(schema.properties as Record<string, { readonly type?: string }>);
  return properties.filter(([, property]) => property.type === 'integer').map(([name]) => name);
}

/** `limit=10` is text on the wire. What is not a whole number stays text, and fails its schema. */
function readIntegers(value: unknown, names: readonly string[]): unknown {
  const query = { ...(value as Record<string, unknown>) };
  for (const name of names) {
    const text = query[name];
    if (typeof text === 'string' && /^\d{1,15}$/.test(text)) query[name] = Number(text);
  }
  return query;
}

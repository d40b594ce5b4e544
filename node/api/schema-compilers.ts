/**
 * Requests against their schemas, and answers through theirs. Each is compiled when it is first wanted: all of them at
 * once would be a good part of a node's start, and most nodes are asked a few routes only.
 */
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler';
import type { FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

const buildSerializer = SerializerSelector()();

/** Nothing is coerced but whole numbers in queries, nothing unknown is dropped. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = whenWanted(() => Compile(schema));
  const integers = httpPart === 'querystring' ? integerProperties(schema) : [];
  return (value: unknown) => {
    const input = integers.length === 0 ? value : readIntegers(value, integers);
    return check().Check(input) ? { value: input } : { error: check().Errors(input) };
  };
};

/** Writes what the schema names, and nothing else. */
export const compileSerializer: FastifySerializerCompiler<unknown> = (route) => {
  const serialize = whenWanted(() => buildSerializer(route as Parameters<typeof buildSerializer>[0]));
  return (answer) => serialize()(answer);
};

function whenWanted<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

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

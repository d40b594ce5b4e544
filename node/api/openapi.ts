/** The OpenAPI 3.1 document: made from the routes' schemas, with each titled schema as a named component. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { MAX_UNANSWERED_REQUESTS } from './request-turns.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const OPENAPI_OPTIONS = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Grapevine node',
      version: '1',
      description:
        'Submit transactions, read the chain, follow events. Errors are RFC 9457 problem documents. Requests of one ' +
        `connection are answered one at a time; with more than ${MAX_UNANSWERED_REQUESTS} unanswered ones it is closed. ` +
        'Large answers are few at once: above that it is 429, and Retry-After says when to ask again.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // The node that serves the document, wherever it is.
    servers: [{ url: '/' }],
    tags: [
      { name: 'transactions' },
      { name: 'accounts' },
      { name: 'blocks' },
      { name: 'agreement' },
      { name: 'node' },
      { name: 'admin', description: 'Open on loopback; elsewhere a bearer token is needed' },
      { name: 'events' },
      { name: 'health' },
    ],
    components: { securitySchemes: { adminToken: { type: 'http', scheme: 'bearer' } } },
  },
  transformObject: (document) => {
    if (!('openapiObject' in document)) return document.swaggerObject;
    return nameComponents(document.openapiObject as Json) as typeof document.openapiObject;
  },
} satisfies FastifyDynamicSwaggerOptions;

/**
 * Moves each schema under `paths` that has a `title` to `components.schemas`, leaving a reference.
 *
 * @throws Error when two different schemas have one title
 */
export function nameComponents(document: Json): Json {
  if (!isObject(document)) return document;
  const schemas: { [name: string]: Json } = {};
  const visit = (node: Json): Json => {
    if (Array.isArray(node)) return node.map(visit);
    if (!isObject(node)) return node;
    const { title, ...rest } = node;
    const copy: { [key: string]: Json } = {};
    for (const [key, value] of Object.entries(typeof title === 'string' ? rest : node)) copy[key] = visit(value);
    if (typeof title !== 'string') return copy;
    const known = schemas[title];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(copy)) {
      // A response may describe a schema in words of its own; the component keeps the first.
      const { description: _a, ...first } = known as { [key: string]: Json };
      const { description: _b, ...second } = copy;
      if (JSON.stringify(first) !== JSON.stringify(second)) throw new Error(`two schemas are called ${title}`);
    }
    schemas[title] ??= copy;
    return { $ref: `#/components/schemas/${title}` };
  };
  const paths = visit(document.paths ?? {});
  const components = isObject(document.components) ? document.components : {};
  return { ...document, paths, components: { ...components, schemas: sortKeys(schemas) } };
}

function sortKeys(object: { [key: string]: Json }): { [key: string]: Json } {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

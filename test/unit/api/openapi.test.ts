import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nameComponents } from '../../../node/api/openapi.ts';
import * as schemas from '../../../node/api/schemas.ts';
import { ADDRESS, BLOCK_ID, buildTestApi, type TestApi, TX_ID } from './fake-backend.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> };
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { schema: object }> }
  >;
  readonly security?: readonly object[];
}

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object>; readonly securitySchemes: object };
}

let api: TestApi;
let document: Document;
beforeAll(async () => {
  api = await buildTestApi();
  const answer = await api.app.inject('/openapi.json');
  expect(answer.statusCode).toBe(200);
  document = answer.json();
});
afterAll(async () => {
  await api.close();
});

const operations = () =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );

describe('/openapi.json', () => {
  it('is OpenAPI 3.1 and has every route', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(
      operations()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(
      [
        'POST /v1/transactions',
        'POST /v1/transactions/batch',
        'GET /v1/transactions/{id}',
        'GET /v1/accounts/{address}',
        'GET /v1/accounts/{address}/history',
        'GET /v1/blocks',
        'GET /v1/blocks/{idOrHeight}',
        'GET /v1/mempool',
        'GET /v1/tip',
        'GET /v1/agreement/evidence',
        'GET /v1/agreement/certificate/{height}',
        'GET /v1/peers',
        'POST /v1/peers',
        'DELETE /v1/peers/{id}',
        'GET /v1/status',
        'POST /v1/mine',
        'GET /v1/genesis',
        'GET /v1/events',
        'GET /healthz',
        'GET /readyz',
        'GET /metrics',
      ].sort(),
    );
  });

  it('says for each route what it does, gives and refuses', () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { name, operation } of operations()) {
      expect(operation.summary, name).toBeTruthy();
      const success = Object.entries(operation.responses).filter(([status]) => /^[12]/.test(status));
      expect(success.length, name).toBeGreaterThan(0);
      for (const [status, response] of success) {
        if (status === '204') continue;
        const content = Object.values(response.content ?? {});
        expect(content.length, `${name} ${status}`).toBe(1);
        expect(Object.keys(content[0]!.schema).length, `${name} ${status}`).toBeGreaterThan(0);
      }
      for (const status of ['4XX', '5XX']) {
        expect(operation.responses[status]?.content, name).toEqual({
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        });
      }
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      expect(
        declared.map((parameter) => parameter.name),
        name,
      ).toEqual(inPath);
      expect(declared.every((parameter) => parameter.required === true)).toBe(true);
    }
  });

  it('names its components, and every reference resolves', () => {
    expect(Object.keys(document.components.schemas)).toEqual(
      expect.arrayContaining(['Transaction', 'TransactionStatus', 'Block', 'Tip', 'Status', 'Problem', 'BlockEvent']),
    );
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!);
    expect(references.length).toBeGreaterThan(30);
    for (const reference of references) {
      const name = reference.replace('#/components/schemas/', '');
      expect(document.components.schemas[name], reference).toBeDefined();
    }
    expect(text).not.toContain('"nullable"');
  });

  it('takes transactions in both forms', () => {
    const body = document.paths['/v1/transactions']?.post?.requestBody;
    const batch = document.paths['/v1/transactions/batch']?.post?.requestBody;
    for (const each of [body, batch]) {
      expect(Object.keys(each?.content ?? {})).toEqual(['application/json', 'application/octet-stream']);
    }
    expect(body?.content['application/json']?.schema).toEqual({ $ref: '#/components/schemas/SubmitRequest' });
  });

  it('marks the administrative calls', () => {
    const marked = operations().filter(({ operation }) => operation.security !== undefined);
    expect(marked.map(({ name }) => name).sort()).toEqual(['DELETE /v1/peers/{id}', 'POST /v1/mine', 'POST /v1/peers']);
    expect(document.components.securitySchemes).toEqual({ adminToken: { type: 'http', scheme: 'bearer' } });
  });

  it('refuses two schemas of one name', () => {
    const document = { paths: { a: { title: 'X', type: 'string' }, b: { title: 'X', type: 'integer' } } };
    expect(() => nameComponents(document)).toThrow('two schemas are called X');
  });
});

describe('responses', () => {
  it.each([
    [`/v1/transactions/${TX_ID}`, schemas.TransactionStatus],
    [`/v1/accounts/${ADDRESS}`, schemas.AccountInfo],
    [`/v1/accounts/${ADDRESS}/history`, schemas.AccountHistory],
    ['/v1/blocks', schemas.BlockList],
    [`/v1/blocks/${BLOCK_ID}`, schemas.BlockInfo],
    ['/v1/mempool', schemas.MempoolInfo],
    ['/v1/tip', schemas.TipInfo],
    ['/v1/agreement/evidence', schemas.EvidenceList],
    ['/v1/agreement/certificate/5', schemas.CertificateInfo],
    ['/v1/peers', schemas.PeerList],
    ['/v1/status', schemas.NodeStatus],
    ['/readyz', schemas.Readiness],
    ['/nothing', schemas.ProblemDocument],
  ])('GET %s keeps to its schema', async (url, schema) => {
    const body = (await api.app.inject(url)).json();
    expect([...Value.Errors(schema, body)]).toEqual([]);
  });
});

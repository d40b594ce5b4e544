import { Type } from 'typebox';
import { type ApiApp, PROBLEMS, type RouteDeps } from './api-app.ts';
import { Problem, retryAfter } from './problem.ts';
import { Health, Readiness } from './schemas.ts';

/** Prometheus text exposition format. */
const METRICS_MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function addHealthRoutes(app: ApiApp, deps: RouteDeps & { readonly metrics: () => Promise<string> }): void {
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        tags: ['health'],
        summary: 'The process runs and answers',
        response: { 200: Health, ...PROBLEMS },
      },
    },
    async () => ({ status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        tags: ['health'],
        summary: '200 when the node can serve; 503 with what is missing',
        response: { 200: Readiness, ...PROBLEMS },
      },
    },
    async () => {
      const readiness = deps.backend.readiness();
      if (readiness.ready) return readiness;
      throw new Problem(503, 'not-ready', `waiting for: ${readiness.missing.join(', ')}`, {
        ...retryAfter(1),
        missing: readiness.missing,
      });
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        tags: ['health'],
        summary: 'Prometheus metrics',
        response: {
          200: {
            description: 'Prometheus text exposition format',
            content: { 'text/plain': { schema: Type.String() } },
          },
          ...PROBLEMS,
        },
      },
    },
    async (_request, reply) => reply.type(METRICS_MEDIA_TYPE).send(await deps.metrics()),
  );
}

// @ts-check
/** Container health check: exit status 0 when this machine's node says it is ready, 1 when not or not yet. */
import { get } from 'node:http';

/** Below the interval of the health check, so that checks never pile up. */
const TIMEOUT_MS = 1500;

const port = process.env.GRAPEVINE_API_PORT ?? '7401';
const request = get({ host: '127.0.0.1', port, path: '/readyz', timeout: TIMEOUT_MS }, (response) => {
  response.resume();
  process.exitCode = response.statusCode === 200 ? 0 : 1;
  if (process.exitCode !== 0) process.stdout.write(`readyz answered ${response.statusCode}\n`);
});
request.on('timeout', () => request.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
request.on('error', (error) => {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
});

// @ts-check
/**
 * Container health check: exit status 0 when this machine's node says it is ready, 1 when it does not within
 * `WAIT_MS`. It waits, so that a node that starts is healthy as soon as it is ready and not an interval later, without
 * checks so frequent that they would cost an idle node more than all else it does.
 */
import { get } from 'node:http';

/** Below the timeout of the health check by more than the last request may take. */
const WAIT_MS = 4000;
const TIMEOUT_MS = 1500;
const PAUSE_MS = 100;

const port = process.env.GRAPEVINE_API_PORT ?? '7401';
const deadlineMs = performance.now() + WAIT_MS;

/** @param {string} why */
function notReady(why) {
  if (performance.now() + PAUSE_MS < deadlineMs) {
    setTimeout(ask, PAUSE_MS);
    return;
  }
  process.stdout.write(`${why}\n`);
  process.exitCode = 1;
}

function ask() {
  let isAnswered = false;
  const request = get({ host: '127.0.0.1', port, path: '/readyz', timeout: TIMEOUT_MS, agent: false }, (response) => {
    isAnswered = true;
    response.resume();
    if (response.statusCode !== 200) notReady(`readyz answered ${response.statusCode}`);
  });
  request.on('timeout', () => request.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
  request.on('error', (error) => {
    if (!isAnswered) notReady(error.message);
  });
}

ask();

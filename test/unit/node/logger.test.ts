import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { LogLevel } from '../../../node/config.ts';
import { createLogger, openLog } from '../../../node/logger.ts';
import { collectGarbage } from '../../collect-garbage.ts';

function setUp(level: LogLevel, bindings?: object) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level, format: 'json', destination, ...(bindings !== undefined && { bindings }) });
  return { logger, read: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>), lines };
}

test('one JSON object a line, with time, level, bindings and fields', () => {
  const { logger, read, lines } = setUp('info', { node: 'a' });
  logger.child({ part: 'sync' }).warn({ peer: 'b', blocks: 3 }, 'catching up');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\{[^\n]*\}\n$/);
  const [line] = read();
  expect(line).toMatchObject({ level: 40, node: 'a', part: 'sync', peer: 'b', blocks: 3, msg: 'catching up' });
  expect(new Date(line!.time as string).toISOString()).toBe(line!.time);
});

test.each([
  ['debug', ['debug', 'info', 'warn', 'error']],
  ['info', ['info', 'warn', 'error']],
  ['warn', ['warn', 'error']],
  ['error', ['error']],
  ['silent', []],
] as const)('level %s lets through what is as severe or more', (level, expected) => {
  const { logger, read } = setUp(level);
  for (const each of ['debug', 'info', 'warn', 'error'] as const) logger[each]({}, each);
  expect(read().map(({ msg }) => msg)).toEqual(expected);
});

test('an error keeps its message, stack and code', () => {
  const { logger, read } = setUp('info');
  logger.error({ err: Object.assign(new Error('disk'), { code: 'full' }) }, 'not written');
  expect(read()[0]).toMatchObject({ err: { message: 'disk', code: 'full', stack: expect.stringContaining('disk') } });
});

test.runIf(process.platform === 'linux')('a full disk costs lines, and no more of them wait than have room', () => {
  const fd = openSync('/dev/full', 'w'); // each write to it fails as on a full disk
  onTestFinished(() => closeSync(fd));
  const destination = openLog(fd);
  const logger = createLogger({ level: 'info', format: 'json', destination });
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let line = 0; line < 20_000; line++) logger.info({ fill: 'x'.repeat(1_000) }, 'written nowhere');
  collectGarbage(); // lines that were let go, and are still there, are not what is asked
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 1024 * 1024);
});

test('a log that is closed for another reason is not kept quiet about', () => {
  const fd = openSync('/dev/null', 'w');
  const destination = openLog(fd);
  closeSync(fd);
  expect(() => destination.write('x\n')).toThrow('EBADF');
});

test('a reader that has gone is not missed', async () => {
  const module = JSON.stringify(new URL('../../../node/logger.ts', import.meta.url).href);
  const code = `const { createLogger } = await import(${module});
    const logger = createLogger({ level: 'info', format: 'json' });
    logger.info({}, 'heard');
    process.stdin.once('data', () => {
      for (let line = 0; line < 3; line++) logger.info({}, 'by nobody');
      process.stderr.write('alive');
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'pipe'] });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  await once(child.stdout, 'close');
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.stdin.end('go');
  const [status] = await once(child, 'close');
  expect({ status, said }).toEqual({ status: 0, said: 'alive' });
});

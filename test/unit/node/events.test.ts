import { expect, test } from 'vitest';
import { EventBus, type NodeEvents } from '../../../node/events.ts';
import { genesis } from '../chain/chain-fixtures.ts';

const event: NodeEvents['entry'] = { entry: genesis.entry, block: genesis.block };

test('listeners run at once, in order of subscription, for their kind only', () => {
  const calls: string[] = [];
  const bus = new EventBus(() => calls.push('error'));
  bus.on('entry', ({ entry }) => calls.push(`first ${entry.header.height}`));
  bus.on('final', () => calls.push('final'));
  bus.on('entry', () => calls.push('second'));
  bus.emit('entry', event);
  expect(calls).toEqual(['first 0', 'second']);
});

test('one that throws is reported and holds up nobody', () => {
  const errors: unknown[] = [];
  const calls: string[] = [];
  const bus = new EventBus((error, kind) => errors.push([kind, (error as Error).message]));
  bus.on('entry', () => {
    throw new Error('oops');
  });
  bus.on('entry', () => calls.push('after'));
  bus.emit('entry', event);
  expect(calls).toEqual(['after']);
  expect(errors).toEqual([['entry', 'oops']]);
});

test('a disposer unsubscribes, also from within a listener, and twice does nothing', () => {
  const calls: string[] = [];
  const bus = new EventBus(() => calls.push('error'));
  const off = bus.on('entry', () => {
    calls.push('once');
    off();
  });
  bus.on('entry', () => calls.push('always'));
  bus.emit('entry', event);
  bus.emit('entry', event);
  off();
  expect(calls).toEqual(['once', 'always', 'always']);
});

test('an event nobody listens to is no error', () => {
  const errors: unknown[] = [];
  new EventBus((error) => errors.push(error)).emit('entry', event);
  expect(errors).toEqual([]);
});

import { EventEmitter } from 'node:events';
import type { Server, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { limitPerAddress } from '../../../node/api/address-limit.ts';

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  isDestroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

test('one address has so many connections and no more, until one of them ends; others have their own', () => {
  const server = new EventEmitter();
  limitPerAddress(server as unknown as Pick<Server, 'on'>, 2);
  const connect = (address: string): FakeSocket => {
    const socket = new FakeSocket(address);
    server.emit('connection', socket as unknown as Socket);
    return socket;
  };
  const [first] = [connect('10.0.0.1'), connect('10.0.0.1')];
  expect([connect('10.0.0.1'), connect('10.0.0.1'), connect('10.0.0.2')].map((each) => each.isDestroyed)).toEqual([
    true,
    true,
    false,
  ]);
  first.destroy();
  expect([connect('10.0.0.1'), connect('10.0.0.1')].map((each) => each.isDestroyed)).toEqual([false, true]);
});

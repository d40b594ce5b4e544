/** A relay between two nodes: what is on the wire can be counted, and the cable pulled, which sends no reset. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { eventually } from '../eventually.ts';
import { addressOf, type TestNode } from './net-support.ts';

export interface Relay {
  /** Bytes that the dialler has sent. */
  readonly asked: number;
  /** Bytes that the listener has sent. */
  readonly answered: number;
  /** Nothing more is passed on, either way. */
  pull(): void;
  close(): void;
}

/** Connects the dialler to the listener through a relay. */
export async function connectThroughRelay(dialler: TestNode, listener: TestNode): Promise<Relay> {
  const port = Number(/\/tcp\/(\d+)/.exec(addressOf(listener))![1]);
  const sockets: Socket[] = [];
  let [asked, answered] = [0, 0];
  const server = createServer((from) => {
    const to = connect({ host: '127.0.0.1', port });
    sockets.push(from, to);
    for (const socket of [from, to]) socket.on('error', () => undefined); // reset when a node hangs up
    from.on('data', ({ byteLength }) => {
      asked += byteLength;
    });
    to.on('data', ({ byteLength }) => {
      answered += byteLength;
    });
    from.pipe(to);
    to.pipe(from);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relayed = addressOf(listener).replace(`/tcp/${port}/`, `/tcp/${(server.address() as AddressInfo).port}/`);
  await dialler.network.connect(relayed);
  await eventually('they are connected', () => listener.connected.length > 0 && dialler.connected.length > 0);
  return {
    get asked() {
      return asked;
    },
    get answered() {
      return answered;
    },
    pull() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

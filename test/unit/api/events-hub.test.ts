import { beforeEach, describe, expect, it } from 'vitest';
import type { TxId } from '../../../chain/types.ts';
import { EventHub, type EventLimits, type EventSocket, parseEventTypes } from '../../../node/api/events-socket.ts';
import { type ChainEvent, EVENT_TYPES } from '../../../node/api/schemas.ts';
import { silentLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';
import { ADDRESS, BLOCK_ID, FakeBackend } from './fake-backend.ts';

const LIMITS: EventLimits = {
  maxClients: 2,
  maxQueuedMessages: 5,
  maxQueuedBytes: 2000,
  heartbeatMs: 15_000,
  maxReceivedMessages: 3,
  closeTimeoutMs: 1000,
};
const TX: ChainEvent & { readonly type: 'tx' } = {
  type: 'tx',
  id: BLOCK_ID,
  state: 'pending',
  parked: false,
  from: ADDRESS,
  to: ADDRESS,
  nonce: '0',
  amount: '1',
  fee: '1',
};
const FINAL: ChainEvent = { type: 'final', id: BLOCK_ID, height: '5' };
const AGREED: ChainEvent = {
  type: 'agreed',
  id: BLOCK_ID,
  height: '5',
  source: { height: '4', id: BLOCK_ID },
  votes: 4,
  n: 5,
};

/** A socket whose reader takes a message when the test says so. */
class FakeSocket implements EventSocket {
  readonly sent: string[] = [];
  readonly #untaken: (() => void)[] = [];
  readonly #listeners = new Map<string, (() => void)[]>();
  closed: [code: number, reason: string] | undefined;
  pings = 0;
  terminated = false;

  send(text: string, sent: () => void): void {
    this.sent.push(text);
    this.#untaken.push(sent);
  }

  take(count = this.#untaken.length): void {
    for (const sent of this.#untaken.splice(0, count)) sent();
  }

  ping(): void {
    this.pings += 1;
  }

  close(code: number, reason: string): void {
    this.closed = [code, reason];
  }

  terminate(): void {
    this.terminated = true;
    this.emit('close');
  }

  on(event: string, listener: () => void): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  emit(event: string): void {
    for (const listener of this.#listeners.get(event) ?? []) listener();
  }

  types(): string[] {
    return this.sent.map((text) => JSON.parse(text).type);
  }
}

let backend: FakeBackend;
let clock: ManualClock;
let hub: EventHub;
beforeEach(() => {
  backend = new FakeBackend();
  clock = new ManualClock();
  hub = new EventHub({ backend, clock, logger: silentLogger, limits: LIMITS });
});

function join(types = EVENT_TYPES as readonly (typeof EVENT_TYPES)[number][], sample?: number): FakeSocket {
  const socket = new FakeSocket();
  hub.attach(socket, types, sample);
  return socket;
}

describe('EventHub', () => {
  it('cuts a client that does not stop talking; a few messages between two heartbeats do not matter', () => {
    const socket = join();
    for (let beat = 0; beat < 3; beat++) {
      for (const event of ['message', 'ping', 'message']) socket.emit(event);
      socket.emit('pong');
      clock.advance(LIMITS.heartbeatMs);
    }
    for (const event of ['message', 'ping', 'message']) socket.emit(event);
    expect(socket.terminated).toBe(false);
    socket.emit('ping');
    expect(socket.terminated).toBe(true);
    expect(hub.clients).toBe(0);
  });

  it('says hello first, then events in order', () => {
    const socket = join();
    backend.emit(AGREED);
    backend.emit(FINAL);
    expect(socket.types()).toEqual(['hello', 'agreed', 'final']);
    expect(JSON.parse(socket.sent[0]!)).toEqual({
      type: 'hello',
      node: '12D3KooWFake',
      name: 'node-0',
      network: 'devnet',
      chainId: backend.identity.chainId,
      height: '6',
      types: ['tx', 'block', 'reorg', 'agreed', 'final', 'evidence'],
    });
  });

  it('sends only the types asked for', () => {
    const socket = join(['final']);
    backend.emit(AGREED);
    backend.emit(FINAL);
    expect(socket.types()).toEqual(['hello', 'final']);
  });

  it('sends one transaction in so many, the same ones to all, and has no others made', () => {
    const ids = ['00000000', '00000001', '00000004', '00000007', '00000008'].map((head) => head + 'c3'.repeat(28));
    const some = join(['tx'], 4);
    const others = join(['tx', 'final'], 2);
    join(['final']);
    const wanted = ids.filter((id) => backend.wantsTx(id as TxId));
    expect(wanted).toEqual([ids[0], ids[2], ids[4]]);
    for (const id of ids) backend.emit({ ...TX, id });
    backend.emit(FINAL);
    const heard = (socket: FakeSocket) => socket.sent.slice(1).map((text) => JSON.parse(text).id);
    expect(heard(some)).toEqual(wanted);
    expect(heard(others)).toEqual([...wanted, BLOCK_ID]);
    join();
    expect(ids.every((id) => backend.wantsTx(id as TxId))).toBe(true);
  });

  it('closes a client that does not take its messages with 1013, and queues no more for it', () => {
    const slow = join();
    const quick = join();
    for (let i = 0; i < 10; i++) {
      backend.emit(FINAL);
      quick.take();
    }
    expect(slow.closed).toEqual([1013, 'too slow: 5 messages not taken']);
    expect(slow.sent).toHaveLength(LIMITS.maxQueuedMessages);
    expect(quick.closed).toBeUndefined();
    expect(quick.sent).toHaveLength(11);
    clock.advance(LIMITS.closeTimeoutMs);
    expect([slow.terminated, hub.clients]).toEqual([true, 1]);
  });

  it('bounds the queue in bytes too, but always takes one message', () => {
    const socket = join();
    socket.take();
    const block: ChainEvent = {
      type: 'reorg',
      forkPoint: { height: '1', id: BLOCK_ID },
      from: { height: '2', id: BLOCK_ID },
      to: { height: '2', id: BLOCK_ID },
      abandonedBlocks: [],
      abandonedTransactions: Array.from({ length: 50 }, () => BLOCK_ID),
    };
    backend.emit(block);
    expect(socket.closed).toBeUndefined();
    expect(socket.types()).toEqual(['hello', 'reorg']);
    backend.emit(FINAL);
    expect(socket.closed?.[0]).toBe(1013);
  });

  it('forgets what was taken', () => {
    const socket = join();
    for (let i = 0; i < 100; i++) {
      backend.emit(FINAL);
      socket.take();
    }
    expect(socket.closed).toBeUndefined();
  });

  it('sends heartbeats by its clock, and cuts who answers no ping', () => {
    const [alive, dead] = [join(), join()];
    clock.advance(LIMITS.heartbeatMs);
    expect(alive.types()).toEqual(['hello', 'heartbeat']);
    expect(JSON.parse(alive.sent[1]!)).toEqual({ type: 'heartbeat', height: '6', nowMs: clock.nowMs() });
    expect([alive.pings, dead.pings]).toEqual([1, 1]);
    alive.emit('pong');
    clock.advance(LIMITS.heartbeatMs);
    expect([alive.terminated, dead.terminated]).toEqual([false, true]);
    expect(alive.types()).toEqual(['hello', 'heartbeat', 'heartbeat']);
  });

  it('listens to the node only while somebody listens to it', () => {
    expect(backend.listeners.size).toBe(0);
    const [a, b] = [join(), join()];
    expect(backend.listeners.size).toBe(1);
    a.emit('close');
    expect(backend.listeners.size).toBe(1);
    b.emit('close');
    expect(backend.listeners.size).toBe(0);
    clock.advance(LIMITS.heartbeatMs);
    expect(a.types()).toEqual(['hello']);
  });

  it('takes no more than its number of clients', () => {
    join();
    expect(hub.refusal()).toBeUndefined();
    const second = join();
    expect(hub.refusal()).toMatchObject({ status: 503, code: 'too-many-clients' });
    second.emit('close');
    expect(hub.refusal()).toBeUndefined();
  });

  it('says goodbye with 1001 when the node stops, and waits no longer than its timeout', async () => {
    const [polite, stuck] = [join(), join()];
    const closed = hub.close();
    expect(polite.closed).toEqual([1001, 'the node is stopping']);
    polite.emit('close');
    expect(hub.clients).toBe(1);
    clock.advance(LIMITS.closeTimeoutMs);
    await closed;
    expect([polite.terminated, stuck.terminated, hub.clients]).toEqual([false, true, 0]);
    expect(hub.refusal()).toMatchObject({ status: 503, code: 'stopping' });
  });
});

describe('parseEventTypes', () => {
  it('reads a list, and names what it does not know', () => {
    expect(parseEventTypes(undefined)).toEqual(EVENT_TYPES);
    expect(parseEventTypes('block, final')).toEqual(['block', 'final']);
    expect(() => parseEventTypes('block,blocks')).toThrow("types: unknown 'blocks'");
  });
});

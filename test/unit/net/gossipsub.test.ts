import { describe, expect, it } from 'vitest';
import { type MessageNamer, nameOnce, partsOf } from '../../../node/net/gossipsub.ts';
import type { PeerKey } from '../../../node/ports.ts';

const [A, B] = ['a', 'b'] as [PeerKey, PeerKey];
const ids = [1, 2, 3].map((id) => Uint8Array.of(id));

/** What would be told to whom, a line for each IHAVE. */
function recordingNamer() {
  const told: string[] = [];
  const streams = new Map<PeerKey, object>([
    [A, {}],
    [B, {}],
  ]);
  const namer: MessageNamer = {
    streamsOutbound: streams,
    pushGossip: (peer, { topicID, messageIDs }) => {
      told.push(`${peer} ${topicID} ${messageIDs.map(([id]) => id).join(' ')}`);
    },
  };
  nameOnce(namer, (topic) => topic === 'tx');
  return { namer, streams, told };
}

describe('a message', () => {
  it('is named to each peer, and to none of them twice', () => {
    const { namer, told } = recordingNamer();
    namer.pushGossip(A, { topicID: 'tx', messageIDs: ids.slice(0, 2) });
    namer.pushGossip(A, { topicID: 'tx', messageIDs: ids });
    namer.pushGossip(B, { topicID: 'tx', messageIDs: ids });
    for (const peer of [A, B]) namer.pushGossip(peer, { topicID: 'tx', messageIDs: ids });
    expect(told).toEqual(['a tx 1 2', 'a tx 3', 'b tx 1 2 3']);
  });

  it('is named again over another stream: what the first one carried may be lost', () => {
    const { namer, streams, told } = recordingNamer();
    namer.pushGossip(A, { topicID: 'tx', messageIDs: ids });
    streams.set(A, {});
    namer.pushGossip(A, { topicID: 'tx', messageIDs: ids });
    expect(told).toEqual(['a tx 1 2 3', 'a tx 1 2 3']);
  });

  it('of another topic is named at each heartbeat: who had no room for it wants it again', () => {
    const { namer, told } = recordingNamer();
    for (let heartbeat = 0; heartbeat < 2; heartbeat++) namer.pushGossip(A, { topicID: 'vote', messageIDs: ids });
    expect(told).toEqual(['a vote 1 2 3', 'a vote 1 2 3']);
  });
});

describe('the parts of an RPC', () => {
  const id = (bytes = 20): Uint8Array => new Uint8Array(bytes);
  const ids = (count: number): Uint8Array[] => Array.from({ length: count }, () => id());

  it.each([
    ['nothing', { messages: [] }, 0],
    ['empty lists', { messages: [], subscriptions: [], control: { graft: [], ihave: [] } }, 0],
    ['messages and subscriptions', { messages: [1, 2], subscriptions: [3] }, 3],
    ['grafts and prunes', { messages: [], control: { graft: [1, 2, 3], prune: [4] } }, 4],
    ['ids, sixteen of which are one', { messages: [], control: { iwant: [{ messageIDs: ids(32) }] } }, 3],
    ['two lists of ids', { messages: [], control: { ihave: [{ messageIDs: ids(16) }], idontwant: [{}] } }, 3],
    ['an id that is too long', { messages: [1], control: { idontwant: [{ messageIDs: [id(), id(21)] }] } }, 0],
    ['an id that is empty', { messages: [1], control: { ihave: [{ messageIDs: [id(0)] }] } }, 0],
  ])('%s', (_, rpc, parts) => {
    expect(partsOf(rpc)).toBe(parts);
  });
});

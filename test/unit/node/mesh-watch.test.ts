import { expect, test } from 'vitest';
import { type PeerView, TOPIC_KINDS, type TopicKind } from '../../../node/ports.ts';
import { MeshWatch } from '../../../node/readiness.ts';

test('a topic is empty until it has a mesh peer, and again only when it had none for longer than a heartbeat or two', () => {
  let nowMs = 0;
  let mesh: readonly TopicKind[] = [];
  const watch = new MeshWatch({ peers: () => [{ mesh } as PeerView] }, { monotonicMs: () => nowMs });
  expect(watch.emptyTopics()).toEqual(TOPIC_KINDS);
  mesh = TOPIC_KINDS;
  expect(watch.emptyTopics()).toEqual([]);
  nowMs = 60_000;
  mesh = TOPIC_KINDS.filter((topic) => topic !== 'tx');
  expect(watch.emptyTopics()).toEqual([]); // it may be for a moment
  nowMs += 1_999;
  expect(watch.emptyTopics()).toEqual([]);
  nowMs += 1;
  expect(watch.emptyTopics()).toEqual(['tx']);
  mesh = TOPIC_KINDS;
  expect(watch.emptyTopics()).toEqual([]);
  mesh = [];
  expect(watch.emptyTopics()).toEqual([]);
  nowMs += 2_000;
  expect(watch.emptyTopics()).toEqual(TOPIC_KINDS);
});

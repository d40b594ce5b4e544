/** Nodes swap statuses all the time: on one stream each way for as long as the connection lasts. */
import { expect, test } from 'vitest';
import { STATUS } from '../../node/sync/protocols.ts';
import type { World } from '../../sim/world.ts';
import { expectHealthy, openWorld } from './open-world.ts';

/** Who has opened a stream for statuses to whom since the beginning, sorted. */
function opened(world: World): readonly string[] {
  const lines = world.trace.lines().filter((line) => line.includes(' open ') && line.endsWith(STATUS.name));
  return lines.map((line) => line.split(' ').slice(1, 4).join(' ')).sort();
}

test('one stream each way carries them, and another one after each cut and restart', async () => {
  const world = openWorld({ nodes: 2 });
  await world.start();
  await world.run(300_000);
  const both = ['a open b', 'b open a'];
  expect(opened(world)).toEqual(both);
  world.hub.cut('a', 'b');
  await world.run(60_000);
  world.hub.heal('a', 'b');
  await world.run(60_000);
  expect(opened(world)).toEqual([...both, ...both].sort());
  world.node('b').kill();
  await world.run(60_000);
  await world.node('b').start();
  await world.run(60_000);
  expect(opened(world)).toEqual([...both, ...both, ...both].sort());
  expect(world.trace.lines().filter((line) => line.includes(' penalized '))).toEqual([]);
  await expectHealthy(world);
});

import { expect, test } from 'vitest';
import { MAX_WINDOW } from '../../../chain/genesis.ts';
import { VOTE_BYTES } from '../../../chain/params.ts';
import { MAX_VOTES_PER_REQUEST } from '../../../node/sync/protocols.ts';
import { StreamDecoder, StreamEncoder } from '../../../node/transfer/stream-format.ts';
import { createWorldGenesis } from '../../../sim/world.ts';

const genesis = createWorldGenesis(['a'], {}, 'simulation', { kind: 'miners', window: MAX_WINDOW });

/** A stream with one certificate frame of so many votes, as far as its length goes. */
async function readFrame(votes: number): Promise<number> {
  const encoder = new StreamEncoder();
  const parts = [encoder.start(genesis), encoder.certificate(new Uint8Array(84 + votes * VOTE_BYTES))];
  const decoder = new StreamDecoder(
    (async function* () {
      yield* parts;
    })(),
  );
  await decoder.genesis();
  const frame = await decoder.frame();
  return frame.kind === 'certificate' ? frame.content.length : -1;
}

test('a certificate of the largest two electorates there may be can be imported, and proved in one answer of a peer', async () => {
  const most = 2 * MAX_WINDOW;
  expect(await readFrame(most)).toBe(84 + most * VOTE_BYTES);
  await expect(readFrame(most + 1)).rejects.toMatchObject({ code: 'import/malformed' });
  expect(most).toBeLessThanOrEqual(MAX_VOTES_PER_REQUEST);
});

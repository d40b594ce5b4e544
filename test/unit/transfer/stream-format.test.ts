import { expect, test } from 'vitest';
import { MAX_LINK_VOTES } from '../../../chain/genesis.ts';
import { VOTE_BYTES } from '../../../chain/params.ts';
import { StreamDecoder, StreamEncoder } from '../../../node/transfer/stream-format.ts';
import { createWorldGenesis } from '../../../sim/world.ts';

const genesis = createWorldGenesis(['a']);

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

test('a certificate of the most votes that a link may have can be imported; a larger one is no frame', async () => {
  expect(await readFrame(MAX_LINK_VOTES)).toBe(84 + MAX_LINK_VOTES * VOTE_BYTES);
  await expect(readFrame(MAX_LINK_VOTES + 1)).rejects.toMatchObject({ code: 'import/malformed' });
});

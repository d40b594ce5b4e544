import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { ChainId } from '../../../chain/types.ts';
import { bytesToHex, hexToBytes } from '../../../crypto/bytes.ts';
import { gossipSettings } from '../../../node/net/gossip-settings.ts';
import { DEVNET_NETWORK } from '../../../node/net/libp2p-network.ts';
import { topicName } from '../../../node/net/topics.ts';

interface Vectors {
  readonly chainId: string;
  readonly batch: { readonly bytes: string; readonly messageId: string };
}

function vectorsOf(name: 'codec' | 'genesis'): Vectors {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8'));
}

it('a message has the id that the vectors have, whichever way it is asked for', async () => {
  const topic = topicName(vectorsOf('genesis').chainId as ChainId, 'tx');
  const { bytes, messageId } = vectorsOf('codec').batch;
  const { msgIdFn, fastMsgIdFn } = gossipSettings({
    options: DEVNET_NETWORK.gossip,
    kinds: new Map([[topic, 'tx']]),
    metricsRegistry: undefined,
    penaltyPoints: () => 0,
    isPreferred: () => false,
    onTxCopies: () => {},
  });
  const data = hexToBytes(bytes);
  expect(bytesToHex(await msgIdFn!({ type: 'unsigned', topic, data }))).toBe(messageId);
  expect(fastMsgIdFn!({ topic, data })).toBe(messageId);
});

/** A peer that is no node: it has a port in the world's network and does as the test says. */
import { encodeBlock } from '../../chain/codec.ts';
import type { Block, Header } from '../../chain/types.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import type { FrameStream, GossipMessage, Network, StreamProtocol } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import type { PeerStatus } from '../../node/sync/peer-status.ts';
import { BODIES, HEADERS, STATUS, VOTES } from '../../node/sync/protocols.ts';
import type { SimNode, World } from '../../sim/world.ts';

export type Answer = (request: Uint8Array, stream: FrameStream) => Promise<void>;

export interface HostilePeerOptions {
  readonly name: string;
  /** Whom it has a link with. */
  readonly links: readonly string[];
  readonly onGossip?: (message: GossipMessage) => void;
  readonly answers?: ReadonlyMap<StreamProtocol, Answer>;
}

export async function startHostilePeer(world: World, options: HostilePeerOptions): Promise<Network> {
  const { name, links, onGossip = (message) => message.settle('ignore'), answers = new Map() } = options;
  const port = world.hub.createPort(
    name,
    world.clock.forNode(() => 0),
  );
  for (const [protocol, answer] of answers) {
    port.handle(protocol, async (stream) => {
      for await (const request of stream.frames) await answer(request, stream);
    });
  }
  await port.start({ onGossip, onPeerConnected() {}, onPeerDisconnected() {} });
  for (const peer of links) world.hub.link(name, peer);
  return port;
}

/** What an honest node would say of itself, with some of it changed. */
export function statusLike(sim: SimNode, lies: Partial<PeerStatus> = {}): PeerStatus {
  const { chain, agreement } = sim.node;
  const { header, totalWork } = chain.tip;
  return {
    chainId: chain.genesis.chainId,
    software: 'liar/1',
    tip: { height: header.height, id: header.id },
    totalWork,
    agreed: agreement.agreed,
    final: agreement.final,
    offenders: agreement.rules.offendersDigest,
    mempool: bytesToHex(sim.node.mempool.pool.digest.total()),
    ...lies,
  };
}

export interface LiarOptions {
  readonly status: () => PeerStatus;
  readonly headers: (locatorHeights: messages.HeadersRequest) => readonly Header[];
  readonly bodies: Answer;
  /** Default: none. */
  readonly votes?: Answer;
}

/** Answers as a node does, with what the test gives it to say. */
export function liarAnswers({ status, headers, bodies, votes }: LiarOptions): ReadonlyMap<StreamProtocol, Answer> {
  return new Map<StreamProtocol, Answer>([
    [STATUS, async (_request, stream) => stream.send(messages.encodeStatus(status()))],
    [
      HEADERS,
      async (request, stream) => {
        const asked = messages.decodeHeadersRequest(request)!;
        const found = headers(asked);
        if (found.length > 0) await stream.send(messages.encodeHeadersChunk(found.map((header) => header.bytes)));
        await stream.close();
      },
    ],
    [BODIES, bodies],
    [VOTES, votes ?? (async (_request, stream) => stream.close())],
  ]);
}

/** The headers an honest node would answer with. */
export function honestHeaders(sim: SimNode): LiarOptions['headers'] {
  return ({ locator, max }) =>
    sim.node.chain.tree.afterLocator(locator, Math.min(max, 500)).map(({ header }) => header);
}

/** Of a node that has pruned them, or keeps them to itself. */
export const noBodies: Answer = async (request, stream) => {
  for (const id of messages.decodeBodiesRequest(request)!) {
    await stream.send(messages.encodeBodyReply({ id, block: undefined }));
  }
  await stream.close();
};

/** Of who has these blocks, and takes so long for each. */
export function slowBodies(world: World, blocks: Iterable<Block>, eachMs: number): Answer {
  const byId = new Map(Array.from(blocks, (block) => [block.header.id, block]));
  const clock = world.clock.forNode(() => 0);
  return async (request, stream) => {
    for (const id of messages.decodeBodiesRequest(request)!) {
      await clock.sleep(eachMs, new AbortController().signal);
      await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(byId.get(id)!) }));
    }
    await stream.close();
  };
}

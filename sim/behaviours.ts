/**
 * What liars do. A liar is an honest node with something between it and its network, and, where its votes are at
 * stake, somebody else who holds its key: all of it on this side of the node's ports.
 */
import { decodeBlock, decodeHeader, encodeBlock, makeHeader, makeTx } from '../chain/codec.ts';
import { decodeCompactBlock, encodeCompactBlock, makeCompactBlock } from '../chain/compact-block.ts';
import { planVote } from '../chain/plan-vote.ts';
import { signVote } from '../chain/sign.ts';
import { encodeTxBatch } from '../chain/tx-batch.ts';
import type { BlockId, ChainEntry, HeaderBody, VoteBody } from '../chain/types.ts';
import { bytesToHex, concatBytes } from '../crypto/bytes.ts';
import type { GrapevineNode } from '../node/compose.ts';
import type { FrameStream, Network, StreamProtocol } from '../node/ports.ts';
import * as messages from '../node/sync/messages.ts';
import { BLOCK_TXS, BODIES, HEADERS, STATUS } from '../node/sync/protocols.ts';
import type { Behaviour } from './scenario-schema.ts';
import type { SeededRng } from './seeded-rng.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { SimNode, World } from './world.ts';

/** How long votes are kept back by who withholds them. */
const WITHHOLD_MS = 30_000;
/** How far below its tip votes who votes for old tips. */
const OLD_TIP = 6n;
const SPAM_MS = 400;
/** Good transactions among which spam hides bad ones. */
const SPAM_OTHERS = 20;
/** What a liar claims on top of the work its tip has. */
const CLAIMED_WORK = 2n ** 64n;

export interface Liar {
  readonly network: Network;
  /** Called with each life of the node. */
  begin(node: GrapevineNode): void;
}

export interface LiarDeps {
  readonly world: () => World;
  readonly sim: SimNode;
  readonly rng: SeededRng;
  readonly clock: VirtualClock;
}

/** A liar on top of `network`; for an honest node, the network as it is. */
export function createLiar(behaviour: Behaviour, network: Network, deps: LiarDeps): Liar {
  const asIs = (begin: (node: GrapevineNode) => void = () => {}): Liar => ({ network, begin });
  switch (behaviour) {
    case 'honest':
    case 'equivocate': // its twin has the same key, and each of the two is honest
    case 'silent': // nobody votes with its key
      return asIs();
    case 'double-vote':
    case 'surround':
    case 'withhold':
    case 'vote-old':
      return asIs((node) => voteBadly(behaviour, node, network, deps));
    case 'spam':
      return asIs((node) => spam(node, network, deps));
    case 'selfish-miner':
      return createSelfishMiner(network, deps);
    case 'stalling':
      return {
        network: answering(network, { [HEADERS.name]: stall, [BODIES.name]: stall, [BLOCK_TXS.name]: stall }),
        begin: () => {},
      };
    case 'lying-about-work':
      return { network: claimWork(network, deps), begin: () => {} };
    case 'invalid-bodies':
      return { network: answering(network, { [BODIES.name]: editReplies(spoilBody) }), begin: () => {} };
    case 'unrequested-bodies':
      return { network: answering(network, { [BODIES.name]: editReplies(renameBody) }), begin: () => {} };
    default:
      return behaviour satisfies never;
  }
}

// Votes --------------------------------------------------------------------------------------------------------

type VoteFault = 'double-vote' | 'surround' | 'withhold' | 'vote-old';

function voteBadly(fault: VoteFault, node: GrapevineNode, network: Network, deps: LiarDeps): void {
  const { sim, rng, clock } = deps;
  const { chain, agreement, events } = node;
  let guard: { readonly sourceHeight: bigint; readonly targetHeight: bigint } | undefined;
  const cast = (link: Pick<VoteBody, 'source' | 'target'>): void => {
    const vote = signVote({ chainId: chain.genesis.chainId, ...link }, sim.key.secretKey);
    const send = (): void => {
      if (!sim.isRunning) return;
      agreement.receiveVote(vote);
      void network.publish('vote', vote.bytes);
    };
    if (fault === 'withhold') clock.after(WITHHOLD_MS, send);
    else send();
  };
  events.on('tip', ({ entry }) => {
    const tip = fault === 'vote-old' ? older(entry, node) : entry;
    if (tip === undefined) return;
    const link = planVote({ tree: chain.tree, agreement: agreement.rules, tip, guard });
    if (link === undefined) return;
    guard = { sourceHeight: link.source.height, targetHeight: link.target.height };
    cast(link);
    if (fault === 'double-vote') {
      const { height } = link.target;
      const rival = chain.tree
        .leaves()
        .find((leaf) => leaf.header.height === height && leaf.header.id !== link.target.id);
      const id = rival?.header.id ?? (bytesToHex(rng.bytes(32)) as BlockId);
      cast({ source: link.source, target: { height, id } });
    } else if (fault === 'surround' && link.source.height > 0n) {
      const { height, id } = chain.genesis.entry.header;
      const next = { height: link.target.height + 1n, id: bytesToHex(rng.bytes(32)) as BlockId };
      cast({ source: { height, id }, target: next });
    }
  });
}

function older(entry: ChainEntry, node: GrapevineNode): ChainEntry | undefined {
  return node.chain.tree.ancestorAt(entry.header.id, entry.header.height - OLD_TIP);
}

// Messages -----------------------------------------------------------------------------------------------------

/** What no honest node sends, one kind after the other; some of it with others' good transactions around it. */
function spam(node: GrapevineNode, network: Network, deps: LiarDeps): void {
  const { world, sim, rng, clock } = deps;
  let count = 0;
  const next = (): void => {
    if (!sim.isRunning) return;
    count += 1;
    const tx = world().transferOnce(9, count);
    const forged = makeTx(tx, rng.bytes(64));
    const others = node.mempool.pool.list(SPAM_OTHERS);
    const kinds = [
      () => network.publish('tx', rng.bytes(200)),
      () => network.publish('tx', encodeTxBatch([forged])),
      () => network.publish('tx', encodeTxBatch([...others, forged])),
      () => network.publish('tx', encodeTxBatch([makeTx({ ...tx, amount: 0n }, tx.signature)])),
      () => network.publish('tx', encodeTxBatch([tx, ...others]).subarray(0, -1)),
      () => network.publish('tx', concatBytes(Uint8Array.of(1, 0, 2), tx.bytes, forged.bytes)),
      () => network.publish('block', rng.bytes(300)),
      () => publishFalseMessage(node, network, rng),
      () => network.publish('vote', rng.bytes(210)),
    ];
    void kinds[count % kinds.length]!();
    clock.after(SPAM_MS, next);
  };
  clock.after(SPAM_MS, next);
}

/** The header of a good block with what is not its coinbase: costs nothing to make. */
async function publishFalseMessage(node: GrapevineNode, network: Network, rng: SeededRng): Promise<void> {
  const block = await node.chain.block(node.chain.tip.header.id);
  if (block === undefined) return;
  const compact = makeCompactBlock(block, BigInt(Math.floor(rng.unit() * 2 ** 48)));
  await network.publish('block', encodeCompactBlock({ ...compact, coinbase: compact.coinbase + 1n }));
}

// Sync ---------------------------------------------------------------------------------------------------------

type Answering = (handler: (stream: FrameStream) => Promise<void>) => (stream: FrameStream) => Promise<void>;

/** The network, with the answers of some protocols changed. */
function answering(network: Network, changed: Readonly<Record<string, Answering>>): Network {
  return delegate(network, {
    handle: (protocol, handler) => network.handle(protocol, changed[protocol.name]?.(handler) ?? handler),
  });
}

const stall: Answering = () => () => new Promise(() => {});

function editReplies(edit: (frame: Uint8Array) => Uint8Array): Answering {
  return (handler) => (stream) => handler(editFrames(stream, edit));
}

function editFrames(stream: FrameStream, edit: (frame: Uint8Array) => Uint8Array): FrameStream {
  return {
    peer: stream.peer,
    frames: stream.frames,
    send: (frame) => stream.send(edit(frame)),
    close: () => stream.close(),
    abort: (error) => stream.abort(error),
  };
}

/** Answers as the node does; what is asked while it refuses ends its stream. */
function refuseWhile(isRefusing: () => boolean): Answering {
  return (handler) => (stream) =>
    handler({
      ...editFrames(stream, (frame) => frame),
      frames: (async function* () {
        for await (const frame of stream.frames) {
          if (isRefusing()) throw new Error('busy');
          yield frame;
        }
      })(),
    });
}

function spoilBody(frame: Uint8Array): Uint8Array {
  const reply = messages.decodeBodyReply(frame);
  const block = reply?.block === undefined ? undefined : decodeBlock(reply.block);
  if (reply === undefined || block?.ok !== true) return frame;
  return messages.encodeBodyReply({
    id: reply.id,
    block: encodeBlock({ ...block.value, coinbase: block.value.coinbase + 1n }),
  });
}

function renameBody(frame: Uint8Array): Uint8Array {
  const reply = messages.decodeBodyReply(frame);
  if (reply?.block === undefined) return frame;
  return messages.encodeBodyReply({ ...reply, id: 'ee'.repeat(32) as BlockId });
}

/**
 * A status with more work than anybody has, and headers that would have it if their targets were real: one at least, also
 * for whoever has the whole chain.
 */
function claimWork(network: Network, { world, sim }: LiarDeps): Network {
  const boast = (frame: Uint8Array): Uint8Array => {
    const status = messages.decodeStatus(frame);
    if (status === undefined) return frame;
    const tip = { height: status.tip.height + 1_000n, id: 'ee'.repeat(32) as BlockId };
    return messages.encodeStatus({ ...status, tip, totalWork: status.totalWork + CLAIMED_WORK });
  };
  const fakeOf = (header: HeaderBody): Uint8Array =>
    makeHeader({ ...header, bits: world().genesis.params.powLimitBits - 1 }).bytes;
  const fake = (frame: Uint8Array): Uint8Array => {
    const chunk = messages.decodeHeadersChunk(frame);
    if (chunk === undefined) return frame;
    const headers = chunk.map((bytes) => {
      const header = decodeHeader(bytes);
      return header.ok ? fakeOf(header.value) : bytes;
    });
    return messages.encodeHeadersChunk(headers);
  };
  const showWork: Answering = (handler) => (stream) => {
    let isEmpty = true;
    const edited = editFrames(stream, (frame) => {
      isEmpty = false;
      return fake(frame);
    });
    const close = async (): Promise<void> => {
      const { header } = sim.node.chain.tip;
      const next = { ...header, parent: header.id, height: header.height + 1n, timestampMs: header.timestampMs + 1n };
      if (isEmpty) await stream.send(messages.encodeHeadersChunk([fakeOf(next)]));
      await stream.close();
    };
    return handler({ ...edited, close });
  };
  const answers = answering(network, { [STATUS.name]: editReplies(boast), [HEADERS.name]: showWork });
  return delegate(answers, {
    open: async (peer, protocol, signal) => {
      const stream = await network.open(peer, protocol, signal);
      return protocol.name === STATUS.name ? editFrames(stream, boast) : stream;
    },
  });
}

// Mining -------------------------------------------------------------------------------------------------------

/**
 * Eyal and Sirer's strategy (arXiv:1311.0243, Algorithm 1) by keeping back what the node publishes: a lead is kept
 * secret, and shown as far as it takes to beat what others find.
 */
function createSelfishMiner(network: Network, { sim }: LiarDeps): Liar {
  let secret: { readonly height: bigint; readonly data: Uint8Array }[] = [];
  let publicHeight = 0n;
  let isRacing = false;
  const reveal = (upTo: bigint): void => {
    for (const { data } of secret.filter(({ height }) => height <= upTo)) void network.publish('block', data);
    secret = secret.filter(({ height }) => height > upTo);
  };
  const hide = refuseWhile(() => secret.length > 0);
  const hidden = answering(network, {
    [STATUS.name]: hide,
    [HEADERS.name]: hide,
    [BODIES.name]: hide,
    [BLOCK_TXS.name]: hide,
  });
  return {
    network: delegate(hidden, {
      publish: async (kind, data) => {
        const block = kind === 'block' ? decodeCompactBlock(data) : undefined;
        if (block?.ok !== true) return network.publish(kind, data);
        if (isRacing) {
          isRacing = false; // one more on our side of the tie: it wins
          publicHeight = block.value.header.height;
          return network.publish(kind, data);
        }
        secret.push({ height: block.value.header.height, data });
        return { kind: 'queued' };
      },
    }),
    begin(node) {
      secret = [];
      node.events.on('entry', ({ entry }) => {
        const { height, miner } = entry.header;
        if (miner === sim.key.address || height <= publicHeight) return;
        publicHeight = height;
        const top = secret.at(-1)?.height ?? 0n;
        if (top < height) {
          secret = [];
          isRacing = false;
        } else if (top === height) {
          reveal(top);
          isRacing = true;
        } else if (top === height + 1n) {
          reveal(top);
          publicHeight = top;
        } else {
          reveal(height);
        }
      });
    },
  };
}

function delegate(network: Network, changed: Partial<Network>): Network {
  return {
    self: network.self,
    start: (handlers) => network.start(handlers),
    stop: () => network.stop(),
    addresses: () => network.addresses(),
    publish: (kind, data) => network.publish(kind, data),
    peers: () => network.peers(),
    open: (peer, protocol: StreamProtocol, signal) => network.open(peer, protocol, signal),
    handle: (protocol, handler) => network.handle(protocol, handler),
    penalize: (peer, points, reason) => network.penalize(peer, points, reason),
    isRefused: (peer) => network.isRefused(peer),
    disconnect: (peer, reason) => network.disconnect(peer, reason),
    connect: (address) => network.connect(address),
    ...changed,
  };
}

/** The network, with what is published heard by `onPublish` first. */
export function tapPublished(network: Network, onPublish: Network['publish']): Network {
  return delegate(network, {
    publish: async (kind, data) => {
      void onPublish(kind, data);
      return network.publish(kind, data);
    },
  });
}

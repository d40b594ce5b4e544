/** Addresses at which a node is dialled. */
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { PeerKey } from '../ports.ts';

export interface PeerAddress {
  /** As libp2p writes it: two texts of one address are the same. */
  readonly text: string;
  /** Who is to answer there; undefined: whoever does. */
  readonly peer: PeerKey | undefined;
}

/** @throws Error on anything but `/ip4|ip6|dns*\/…/tcp/<port>[/p2p/<peer id>]` */
export function parsePeerAddress(address: string): PeerAddress {
  let parsed: Multiaddr;
  try {
    parsed = multiaddr(address);
  } catch (error) {
    throw new Error(`malformed address ${address}`, { cause: error });
  }
  const components = parsed.getComponents();
  const names = components.map((component) => component.name).join('/');
  if (/\s/.test(address) || !/^(ip4|ip6|dns|dns4|dns6)\/tcp(\/p2p)?$/.test(names)) {
    throw new Error(`address ${address} is not /ip4|ip6|dns…/tcp/<port>[/p2p/<id>]`);
  }
  const peer = components.find((component) => component.name === 'p2p')?.value;
  if (peer !== undefined) checkPeerId(peer, address);
  return { text: parsed.toString(), peer };
}

/** `multiaddr` takes any word for a peer id; only a dial would show that it names nobody. */
function checkPeerId(peer: string, address: string): void {
  try {
    peerIdFromString(peer);
  } catch (error) {
    throw new Error(`address ${address}: "${peer}" is no peer id`, { cause: error });
  }
}

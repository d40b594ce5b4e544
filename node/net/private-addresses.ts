import { BlockList, isIP } from 'node:net';

const PRIVATE_RANGES: readonly (readonly [network: string, prefix: number, family: 'ipv4' | 'ipv6'])[] = [
  ['127.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['::1', 128, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
];

/**
 * Loopback and private IP addresses (RFC 1918, 3927, 4193, 4291), as the set that gossipsub's IP colocation whitelist
 * wants: it asks `has` only. One host or one container network may then hold any number of nodes.
 */
export class PrivateAddressSet extends Set<string> {
  readonly #ranges = new BlockList();

  constructor() {
    super();
    for (const range of PRIVATE_RANGES) this.#ranges.addSubnet(...range);
  }

  override has(address: string): boolean {
    const version = isIP(address);
    return version !== 0 && this.#ranges.check(address, version === 4 ? 'ipv4' : 'ipv6');
  }
}

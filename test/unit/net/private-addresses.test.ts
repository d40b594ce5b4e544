import { describe, expect, it } from 'vitest';
import { PrivateAddressSet } from '../../../node/net/private-addresses.ts';

describe('PrivateAddressSet', () => {
  const set = new PrivateAddressSet();

  it.each([
    '127.0.0.1',
    '127.9.9.9',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.3.4',
    '169.254.1.1',
    '::1',
    'fd00::1',
    'fe80::1',
  ])('has %s', (address) => expect(set.has(address)).toBe(true));

  it.each(['8.8.8.8', '172.15.0.1', '172.32.0.1', '11.0.0.1', '2001:db8::1', 'localhost', '', 'not an address'])(
    'does not have %s',
    (address) => expect(set.has(address)).toBe(false),
  );
});

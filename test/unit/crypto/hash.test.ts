import { describe, expect, test } from 'vitest';
import { bytesToHex, concatBytes, hexToBytes } from '../../../crypto/bytes.ts';
import { doubleSha256, sha256, taggedHash } from '../../../crypto/hash.ts';
import sha from '../../vectors/sha256.json' with { type: 'json' };
import tagged from '../../vectors/tagged-hash.json' with { type: 'json' };

const utf8 = new TextEncoder();

describe('SHA-256 (FIPS 180-4)', () => {
  test.each(sha.text)('FIPS 180-2 example: $message × $repeat', ({ message, repeat, digest }) => {
    expect(bytesToHex(sha256(utf8.encode(message.repeat(repeat))))).toBe(digest);
  });

  test.each(sha.hex)('NIST CAVP: $message', ({ message, digest }) => {
    expect(bytesToHex(sha256(hexToBytes(message)))).toBe(digest);
  });

  test.each(sha.double)('double: the id of Bitcoin’s genesis block', ({ message, digest }) => {
    expect(bytesToHex(doubleSha256(hexToBytes(message)))).toBe(digest);
  });
});

describe('tagged hash (BIP340)', () => {
  test.each(tagged.vectors)('BIP341: $tag → $digest', ({ tag, parts, digest }) => {
    expect(bytesToHex(taggedHash(tag, ...parts.map(hexToBytes)))).toBe(digest);
  });

  test('is SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ message), for tags beyond the cache too', () => {
    const message = utf8.encode('message');
    for (let i = 0; i < 100; i++) {
      const tagHash = sha256(utf8.encode(`tag ${i}`));
      const expected = sha256(concatBytes(tagHash, tagHash, message));
      expect(taggedHash(`tag ${i}`, message)).toEqual(expected);
      expect(taggedHash(`tag ${i}`, message)).toEqual(expected); // the cached midstate is not used up
    }
  });

  test('separates domains', () => {
    const message = utf8.encode('message');
    expect(taggedHash('grapevine/tx/1', message)).not.toEqual(taggedHash('grapevine/vote/1', message));
  });
});

import { describe, expect, it } from 'vitest';
import { signTx, signVote } from '../../../chain/sign.ts';
import { txSignatureItem } from '../../../chain/validate/tx-stateless.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { alice, genesis, transfer } from './chain-fixtures.ts';

const checkpoint = { height: 0n, id: genesis.block.header.id };

describe('signing', () => {
  it('gives the same bytes every time (RFC 6979)', () => {
    expect(bytesToHex(transfer(alice).bytes)).toBe(bytesToHex(transfer(alice).bytes));
    const body = { chainId: genesis.chainId, source: checkpoint, target: { ...checkpoint, height: 1n } };
    expect(signVote(body, alice.secretKey)).toEqual(signVote(body, alice.secretKey));
  });

  it("puts the key's owner as sender and voter", () => {
    const vote = signVote({ chainId: genesis.chainId, source: checkpoint, target: checkpoint }, alice.secretKey);
    expect([transfer(alice).from, vote.voter]).toEqual([alice.address, alice.address]);
  });

  it('does not let a vote be taken for a transaction: their tags differ', () => {
    const vote = signVote({ chainId: genesis.chainId, source: checkpoint, target: checkpoint }, alice.secretKey);
    const item = { ...txSignatureItem(transfer(alice)), signature: vote.signature };
    expect(nobleBackend.verify(item)).toBe(false);
  });

  it('throws for a key that is none', () => {
    const notAKey = new RangeError('not a secp256k1 secret key');
    expect(() => signTx(transfer(alice), new Uint8Array(32))).toThrow(notAKey);
    expect(() => signTx(transfer(alice), new Uint8Array(31).fill(1))).toThrow(notAKey);
  });
});

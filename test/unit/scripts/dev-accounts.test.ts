import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../../crypto/address.ts';
import { branchKeyOf, keysFromMnemonic } from '../../../crypto/mnemonic.ts';
import {
  CANARY_INDEX,
  DEV_ACCOUNT_COUNT,
  DEV_BRANCH_KEY,
  DEV_MNEMONIC,
  devAccount,
  devAccounts,
  devCanary,
  devVoter,
  FIRST_VOTER_INDEX,
} from '../../../scripts/dev-accounts.ts';

describe('development keys', () => {
  it('are those of the mnemonic', () => {
    expect(branchKeyOf(DEV_MNEMONIC)).toBe(DEV_BRANCH_KEY);
    expect(devAccounts()).toEqual(keysFromMnemonic(DEV_MNEMONIC, DEV_ACCOUNT_COUNT));
  });

  it('are the ten that the published addresses say', () => {
    const accounts = devAccounts();
    expect(accounts).toHaveLength(DEV_ACCOUNT_COUNT);
    expect(formatAddress(devAccount(0).address)).toBe('gv1p6pqj8kclyzvhdj4n5psw583zafm48t3pu3mp29');
    expect(accounts.map(({ address }) => address)).toEqual(
      Array.from({ length: DEV_ACCOUNT_COUNT }, (_, index) => devAccount(index).address),
    );
  });

  it('do not overlap', () => {
    const keys = [...devAccounts(), devCanary(), devVoter(0), devVoter(1)];
    expect(new Set(keys.map(({ address }) => address)).size).toBe(DEV_ACCOUNT_COUNT + 3);
    expect(devCanary().path).toBe(`m/44'/7337'/0'/0/${CANARY_INDEX}`);
    expect(devVoter(3).path).toBe(`m/44'/7337'/0'/0/${FIRST_VOTER_INDEX + 3}`);
  });

  it('throw for an index beyond the ten accounts or the thousand voters', () => {
    for (const index of [-1, 10, 0.5]) expect(() => devAccount(index)).toThrow(RangeError);
    for (const node of [-1, 1000, 0.5]) expect(() => devVoter(node)).toThrow(RangeError);
  });
});

import { expect, test } from 'vitest';
import type { CertificateDocument } from '../../../chain/certificate-document.ts';
import { fetchCertificate } from '../../../scripts/certificate.ts';
import { GrapevineError } from '../../../scripts/client.ts';
import { ManualClock } from '../../manual-clock.ts';

/** A piece from one height to another, which names each of its headers after its height. */
function piece(from: number, to: number): CertificateDocument {
  const at = (height: number) => ({ height: String(height), id: `id ${height}` });
  return {
    format: 'grapevine-certificate/1',
    chainId: 'chain',
    block: at(to),
    state: 'agreed',
    from: at(from),
    headers: Array.from({ length: to - from }, (_, index) => `header ${from + index + 1}`),
    links: [{ source: at(from), target: at(to), votes: [] }],
  };
}

const busy = (retryAfterS?: number) =>
  new GrapevineError('overloaded', 'other certificates are being collected', { status: 429, retryAfterS });

/** Gives these answers, one after the other, the last for ever; its clock goes on as far as one sleeps. */
function nodeOf(...answers: (CertificateDocument | GrapevineError)[]) {
  const asked: string[] = [];
  const sleptMs: number[] = [];
  const clock = new ManualClock();
  clock.sleep = async (delayMs) => {
    sleptMs.push(delayMs);
    clock.advance(delayMs);
  };
  const client = {
    certificate: async (height: string | bigint | number) => {
      asked.push(String(height));
      const answer = answers.length > 1 ? answers.shift()! : answers[0]!;
      if (answer instanceof GrapevineError) throw answer;
      return answer;
    },
  };
  return { client, clock, asked, sleptMs };
}

test('the pieces of a certificate are put together, and a node that is busy is asked again when it says', async () => {
  const { client, clock, asked, sleptMs } = nodeOf(busy(2), piece(4, 6), busy(), busy(7), piece(0, 4));
  const whole = await fetchCertificate(client, '6', undefined, clock);
  expect(whole.headers).toEqual([1, 2, 3, 4, 5, 6].map((height) => `header ${height}`));
  expect(whole.links.map(({ target }) => target.height)).toEqual(['4', '6']);
  expect(asked).toEqual(['6', '6', '4', '4', '4']);
  expect(sleptMs).toEqual([2_000, 1_000, 7_000]);
});

test('a node that stays busy for a minute is given up, with what it said', async () => {
  const { client, clock, sleptMs } = nodeOf(busy(25));
  await expect(fetchCertificate(client, '6', undefined, clock)).rejects.toMatchObject({ code: 'overloaded' });
  expect(sleptMs).toEqual([25_000, 25_000]);
});

test('any other refusal is passed on at once', async () => {
  const { client, clock, sleptMs } = nodeOf(new GrapevineError('not-found', 'no votes here', { status: 404 }));
  await expect(fetchCertificate(client, '6', undefined, clock)).rejects.toMatchObject({ code: 'not-found' });
  expect(sleptMs).toEqual([]);
});

/**
 * Yamux whose connections are probed: a pulled cable sends no reset. The probe is yamux's own ping, 12 bytes each way.
 * libp2p's connection monitor opens and negotiates a stream for each, a third of what an idle node did.
 */
import type { MessageStream, StreamMuxerFactory } from '@libp2p/interface';
import { type YamuxMuxerInit, yamux } from '@libp2p/yamux';
import type { Clock } from '../ports.ts';
import { boundMuxer } from './muxer-bounds.ts';
import { updateWindowsByHalves } from './window-updates.ts';

export interface ProbeOptions {
  /** From one answer to the next probe. */
  readonly intervalMs: number;
  /** A connection that has not answered by then is closed. */
  readonly timeoutMs: number;
}

/** With a bound of what its streams may have on its way to us. */
type BoundedYamuxInit = YamuxMuxerInit & { readonly streamOptions: { readonly maxStreamWindowSize: number } };

type Muxer = ReturnType<ReturnType<ReturnType<typeof yamux>>['createStreamMuxer']>;

/**
 * @param init `enableKeepAlive` is overruled: the probes take its place
 * @returns what libp2p takes as a stream muxer. It closes a connection that does not answer a probe in time, or that
 * goes beyond `muxer-bounds.ts`
 */
export function probedYamux(init: BoundedYamuxInit, clock: Clock, options: ProbeOptions): () => StreamMuxerFactory {
  const createFactory = yamux({ ...init, enableKeepAlive: false });
  return () => {
    const factory = createFactory();
    return {
      protocol: factory.protocol,
      createStreamMuxer(connection) {
        const muxer = factory.createStreamMuxer(connection);
        updateWindowsByHalves(muxer);
        boundMuxer(muxer, init.streamOptions.maxStreamWindowSize, clock);
        probe(muxer, connection, clock, options);
        return muxer;
      },
    };
  };
}

/** Until the connection closes. */
function probe(muxer: Muxer, connection: MessageStream, clock: Clock, options: ProbeOptions): void {
  let attempt: AbortController | undefined;
  let cancel = clock.after(options.intervalMs, ask);
  connection.addEventListener('close', () => {
    cancel();
    attempt?.abort(new Error('the connection is closed'));
  });

  function ask(): void {
    if (muxer.status !== 'open') return;
    const waiting = new AbortController();
    attempt = waiting;
    const timedOut = new Error(`no answer for ${options.timeoutMs} ms`);
    cancel = clock.after(options.timeoutMs, () => waiting.abort(timedOut));
    muxer.ping({ signal: waiting.signal }).then(
      () => {
        cancel();
        if (muxer.status === 'open') cancel = clock.after(options.intervalMs, ask);
      },
      () => {
        cancel();
        if (waiting.signal.reason === timedOut) connection.abort(timedOut);
      },
    );
  }
}

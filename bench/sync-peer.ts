/**
 * The peer that a syncing node is measured against: serves the chain of a store over libp2p, in a process of its own.
 *
 *     node bench/sync-peer.ts STORE_DIRECTORY GENESIS_FILE
 *
 * Tells its parent its address by IPC; ends when the parent hangs up.
 */
import { readFile } from 'node:fs/promises';
import { parseGenesis } from '../chain/genesis.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock } from '../node/adapters.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import { createInlineVerifier } from '../node/verify/inline-verifier.ts';
import { composeFixture } from '../test/node-fixture.ts';
import { createLoopbackNetwork } from './loopback-network.ts';

const [location = '', genesisFile = ''] = process.argv.slice(2);
const genesis = parseGenesis(JSON.parse(await readFile(genesisFile, 'utf8')));
const store = await openLevelStore({ location, dataDir: location });
const network = createLoopbackNetwork({ genesis, store, bootstrap: [] });
const { backend } = await loadSignatureBackend('auto');
const verifier = createInlineVerifier(backend, createSystemClock());
const { node } = await composeFixture({ genesis, store, verifier, network });
process.on('disconnect', () => {
  node.stop().finally(() => process.exit());
});
process.send?.({ address: network.addresses()[0] });

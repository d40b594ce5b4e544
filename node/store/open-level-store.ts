import { ClassicLevel } from 'classic-level';
import type { StorePlace } from './damage.ts';
import { checkDirectory, hasRoom, saveWitness } from './level-directory.ts';
import { openStoreOn } from './level-store.ts';
import type { Store } from './store.ts';

/**
 * Opens the store in a directory of its own, or makes a new one there.
 *
 * @param place `location`: the directory, made where it is missing; `dataDir`: what messages tell the user to pass
 * @throws StoreError `locked`, `damaged` or `wrong-schema`: the message says what to do, and nothing was changed
 */
export async function openLevelStore(place: StorePlace): Promise<Store> {
  const { location } = place;
  const { hasChain } = await checkDirectory(place);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(location, { keyEncoding: 'view', valueEncoding: 'view' });
  return openStoreOn(db, {
    place,
    hasChain,
    afterChainStored: () => saveWitness(location),
    // The witness of the last clean stop stays true where a new one can't be written.
    afterClose: () => saveWitness(location).catch(() => {}),
    hasRoom: () => hasRoom(location),
  });
}

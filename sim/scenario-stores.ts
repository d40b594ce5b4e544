/** The stores of a scenario's nodes; each outlives the lives of its node. */
import { openStoreOn } from '../node/store/level-store.ts';
import type { Store } from '../node/store/store.ts';
import { MapDatabase, openMapStore } from './map-store.ts';
import type { ScenarioNodes } from './scenario-nodes.ts';
import { parseDuration, type Scenario } from './scenario-schema.ts';
import type { SeededRng } from './seeded-rng.ts';
import { SimDisk } from './sim-disk.ts';
import type { VirtualClock } from './virtual-clock.ts';

/**
 * Up to so many nodes all have a disk, with the node's own store on it. In larger nets only those have one whose disk
 * matters, and the others keep objects in maps, at a fraction of the time and memory. Which of the two a node has can
 * change the course of a run, so a disk fault that is dropped or added changes more than itself there.
 */
const DISKS_FOR_ALL = 100;

export interface ScenarioStoresInit {
  readonly scenario: Scenario;
  readonly nodes: ScenarioNodes;
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
}

/** A disk, or maps, for each node, made when it is first asked for and kept to the end of the run. */
export class ScenarioStores {
  readonly #init: ScenarioStoresInit;
  readonly #disks = new Map<string, SimDisk>();
  readonly #maps = new Map<string, MapDatabase>();
  /** Undefined: all. */
  readonly #withDisk: ReadonlySet<string> | undefined;

  constructor(init: ScenarioStoresInit) {
    this.#init = init;
    const { scenario, nodes } = init;
    const isOnDisk = nodes.all.length <= DISKS_FOR_ALL || scenario.disk !== undefined;
    this.#withDisk = isOnDisk ? undefined : new Set(namesOfDisks(scenario, nodes));
  }

  /** For the node's next life. */
  open(name: string): Promise<Store> {
    if (this.#withDisk === undefined || this.#withDisk.has(name)) return openStoreOn(this.disk(name).open());
    const database = this.#maps.get(name) ?? new MapDatabase();
    this.#maps.set(name, database);
    return Promise.resolve(openMapStore(database));
  }

  /** @throws Error for a node that has none, as nothing in the scenario is about its disk */
  disk(name: string): SimDisk {
    if (this.#withDisk?.has(name) === false) throw new Error(`${name} has no disk`);
    let disk = this.#disks.get(name);
    if (disk === undefined) {
      const { scenario, clock, rng } = this.#init;
      const syncLatencyMs = parseDuration(scenario.disk?.syncLatency ?? '0ms');
      disk = new SimDisk({ clock, rng: rng.fork(`disk ${name}`), syncLatencyMs });
      this.#disks.set(name, disk);
    }
    return disk;
  }
}

/** Of nodes that have a chain from before, or whose disk the timeline breaks. */
function namesOfDisks({ history, timeline = [] }: Scenario, nodes: ScenarioNodes): readonly string[] {
  const selectors = timeline.flatMap(({ losePower, crashAtWrite, diskFull, diskFreed }) =>
    [losePower, crashAtWrite?.node, diskFull, diskFreed].filter((each) => each !== undefined),
  );
  return [...selectors, ...(history === undefined ? [] : [history.at])].flatMap((each) => nodes.select(each));
}

/** Worlds to test in: each node keeps its memory database over its restarts. */
import { MemoryLevel } from 'memory-level';
import { expect } from 'vitest';
import { openStoreOn } from '../../node/store/level-store.ts';
import type { Store } from '../../node/store/store.ts';
import { type NodeSpec, type SimNode, World, type WorldOptions } from '../../sim/world.ts';

export interface OpenWorldOptions extends Partial<Omit<WorldOptions, 'nodes' | 'openStore'>> {
  /** Specs, or how many nodes, named `a`, `b`, … */
  readonly nodes: number | readonly NodeSpec[];
  /** Puts something between a node and its store. */
  readonly wrapStore?: (name: string, store: Store) => Store;
}

export function openWorld(options: OpenWorldOptions): World {
  const databases = new Map<string, MemoryLevel<Uint8Array, Uint8Array>>();
  const { nodes, wrapStore = (_name, store) => store } = options;
  return new World({
    seed: process.env.SIM_SEED ?? 'grapevine', // other seeds for those who look for trouble
    ...options,
    nodes: typeof nodes === 'number' ? namesOf(nodes).map((name) => ({ name })) : nodes,
    openStore: async (name) => {
      let db = databases.get(name);
      if (db === undefined) {
        db = new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' });
        databases.set(name, db);
      }
      return wrapStore(name, await openStoreOn(db));
    },
  });
}

/** Methods of a class instance do not survive a spread. */
export function boundMethods<T extends object>(instance: T): T {
  return new Proxy({} as T, {
    ownKeys: () => Object.getOwnPropertyNames(Object.getPrototypeOf(instance)).filter((key) => key !== 'constructor'),
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
    get: (_target, key) => {
      const value = Reflect.get(instance, key) as unknown;
      return typeof value === 'function' ? value.bind(instance) : value;
    },
  });
}

export function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String.fromCharCode(97 + index));
}

/** What must hold in every world without liars: no bug of our own, no evidence, one final chain. */
export async function expectHealthy(world: World, nodes: readonly SimNode[] = world.running): Promise<void> {
  for (const each of nodes) {
    const errors = each.log
      .filter(({ level }) => level === 'error')
      .map(({ message, fields }) => ({ message, fields }));
    expect(errors, each.name).toEqual([]);
    expect(await each.internalErrors(), each.name).toBe(0);
    expect(each.node.agreement.rules.evidence, each.name).toEqual([]);
  }
  expectOneFinalChain(nodes);
}

/** Of any two nodes, the lower final block is an ancestor of the higher one. */
export function expectOneFinalChain(nodes: readonly SimNode[]): void {
  const highest = [...nodes].sort((a, b) => b.finalHeight - a.finalHeight)[0]!;
  for (const each of nodes) {
    const { final } = each.node.agreement;
    const there = highest.node.chain.tree.ancestorAt(highest.node.agreement.final.id, final.height);
    expect(there?.header.id, `${each.name} and ${highest.name} at final height ${final.height}`).toBe(final.id);
  }
}

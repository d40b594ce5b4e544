/** The scenario files, and running them in tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSignatureBackend } from '../../crypto/load-backend.ts';
import { runScenario, type ScenarioReport } from '../../sim/run-scenario.ts';
import { parseScenario } from '../../sim/scenario.ts';
import type { Scenario } from '../../sim/scenario-schema.ts';

const DIRECTORY = join(import.meta.dirname, '..', '..', 'sim', 'scenarios');
const { backend } = await loadSignatureBackend('auto');

/** By name, in order. */
export const SCENARIO_NAMES: readonly string[] = readdirSync(DIRECTORY)
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => file.slice(0, -'.yaml'.length))
  .sort();

export function loadScenario(name: string): Scenario {
  return parseScenario(readFileSync(join(DIRECTORY, `${name}.yaml`), 'utf8'));
}

export function simulate(scenario: Scenario, seed: number | string): Promise<ScenarioReport> {
  return runScenario(scenario, { seed: String(seed), backend });
}

/** What did not hold, with what was found. */
export function violationsOf({ seed, expectations }: ScenarioReport): readonly string[] {
  return expectations.filter(({ passed }) => !passed).map(({ name, detail }) => `seed ${seed}: ${name}: ${detail}`);
}

/** One of `crash-at-write-*`, with the crash at another write than the first. */
export function crashingAt(scenario: Scenario, nth: number): Scenario {
  const timeline = (scenario.timeline ?? []).map((event) =>
    event.crashAtWrite === undefined ? event : { ...event, crashAtWrite: { ...event.crashAtWrite, nth } },
  );
  return { ...scenario, timeline };
}

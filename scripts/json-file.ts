/** Files that the user names, read for a command. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { type Genesis, GenesisError, parseGenesis } from '../chain/genesis.ts';
import { UsageError } from './exit.ts';

/** @throws UsageError that names the file */
export async function readText(path: string): Promise<string> {
  return readFrom(path, () => readFile(path, 'utf8'));
}

/** Where `-` may stand for standard input. */
export async function readJsonOrInput(path: string, refusal: (message: string) => Error): Promise<unknown> {
  if (path !== '-') return readJson(path, refusal);
  const name = 'standard input';
  return parseJson(await readFrom(name, () => text(process.stdin)), name, refusal);
}

async function readFrom(path: string, read: () => Promise<string>): Promise<string> {
  try {
    return await read();
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
}

/**
 * @param refusal makes the error where the text is not JSON; default: a UsageError
 * @throws UsageError that names the file where it cannot be read
 */
export async function readJson(
  path: string,
  refusal: (message: string) => Error = (message) => new UsageError(message),
): Promise<unknown> {
  return parseJson(await readText(path), path, refusal);
}

function parseJson(text: string, path: string, refusal: (message: string) => Error): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal(`${path} is not JSON: ${(error as Error).message}`);
  }
}

/** @throws UsageError that names the file, and the field where it is no genesis document */
export async function readGenesis(path: string): Promise<Genesis> {
  const json = await readJson(path);
  try {
    return parseGenesis(json);
  } catch (error) {
    if (error instanceof GenesisError) throw new UsageError(`${path}: ${error.message}`);
    throw error;
  }
}

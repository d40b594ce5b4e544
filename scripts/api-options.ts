/** Options that commands share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_API_URL, GrapevineClient } from './client.ts';
import { parseCoins } from './coins.ts';

export interface ApiOptions {
  readonly api: string;
  readonly json?: boolean;
  readonly token?: string;
}

/** Adds `--api` and `--json`, which says `json` in the help. */
export function addApiOptions(command: Command, json = 'print exactly one JSON document'): Command {
  return command
    .addOption(new Option('--api <url>', "the node's API").env('GRAPEVINE_API').default(DEFAULT_API_URL))
    .option('--json', json);
}

/** Adds `--token`, for administrative calls. */
export function addTokenOption(command: Command): Command {
  return command.addOption(
    new Option('--token <token>', 'bearer token of a node that is not on loopback').env('GRAPEVINE_ADMIN_TOKEN'),
  );
}

/**
 * Asks nothing of the node yet.
 *
 * @throws GrapevineError `client/bad-argument` where the URL is none
 */
export function openClient(options: ApiOptions): GrapevineClient {
  return new GrapevineClient({
    url: options.api,
    ...(options.token === undefined ? {} : { token: options.token }),
  });
}

/** Coins to units, for an option's value. */
export function readCoins(text: string): bigint {
  try {
    return parseCoins(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A whole number within bounds, for an option's value. */
export function readInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
    return value;
  };
}

/** A decimal number within bounds, for an option's value. */
export function readNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,12}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`expected a number from ${min} to ${max}`);
    return value;
  };
}

/** Passwords come from a file, the environment or a prompt; never from an option, which others can see. */
import { readFile } from 'node:fs/promises';
import { UsageError } from './exit.ts';

/**
 * @param file wins over GRAPEVINE_PASSWORD, which wins over asking
 * @param purpose what the prompt says; `isNew` asks twice
 * @throws UsageError when there is none, or it is empty
 */
export async function readPassword(
  file: string | undefined,
  purpose: { readonly prompt: string; readonly isNew: boolean },
): Promise<string> {
  return (await givenPassword(file)) ?? checkPassword(await ask(purpose));
}

/**
 * For who has nobody to ask.
 *
 * @param file wins over GRAPEVINE_PASSWORD
 * @returns undefined where there is none
 * @throws UsageError when it is empty
 */
export async function givenPassword(file: string | undefined): Promise<string | undefined> {
  const password = file === undefined ? process.env.GRAPEVINE_PASSWORD : await readFirst(file);
  return password === undefined ? undefined : checkPassword(password);
}

function checkPassword(password: string): string {
  if (password === '') throw new UsageError('the password is empty');
  return password;
}

async function readFirst(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new UsageError(`cannot read the password file: ${(error as Error).message}`);
  }
}

async function ask(purpose: { readonly prompt: string; readonly isNew: boolean }): Promise<string> {
  if (!process.stdin.isTTY) throw new UsageError('no password: use --password-file or GRAPEVINE_PASSWORD');
  const { isCancel, password } = await import('@clack/prompts');
  const prompt = async (message: string): Promise<string> => {
    // To standard error: standard output is for the result.
    const answer = await password({ message, output: process.stderr });
    if (isCancel(answer)) throw new UsageError('cancelled');
    return answer ?? '';
  };
  const answer = await prompt(purpose.prompt);
  if (purpose.isNew && (await prompt('Again')) !== answer) throw new UsageError('the two passwords differ');
  return answer;
}

import packageJson from '../package.json' with { type: 'json' };

/** Of this software: told to peers and shown in the status. */
export const VERSION: string = packageJson.version;

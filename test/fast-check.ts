/**
 * fast-check with one seed for all tests, so that a run that fails fails again. `GRAPEVINE_TEST_SEED=2 npm run test:unit`
 * tries other inputs.
 */
import fc from 'fast-check';

const seed = Number(process.env.GRAPEVINE_TEST_SEED ?? 1);
if (!Number.isInteger(seed))
  throw new RangeError(`GRAPEVINE_TEST_SEED is ${process.env.GRAPEVINE_TEST_SEED}, no integer`);
fc.configureGlobal({ seed });

export { fc };

import { testShard } from './shards.ts';

testShard(0, 4);

import { testShard } from './shards.ts';

testShard(1, 4);

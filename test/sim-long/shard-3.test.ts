import { testShard } from './shards.ts';

testShard(2, 4);

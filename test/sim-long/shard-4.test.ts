import { testShard } from './shards.ts';

testShard(3, 4);

#!lua
-- Makes the partition where it is not there yet. The number of partitions is the first opener's.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { version, partitions } as JSON
-- Returns { now, version, partitions }

-- @include base clock
local asked = cjson.decode(ARGV[1])
redis.call('HSETNX', meta, 'version', asked.version)
redis.call('HSETNX', meta, 'partitions', asked.partitions)
return { tostring(now), redis.call('HGET', meta, 'version'), redis.call('HGET', meta, 'partitions') }

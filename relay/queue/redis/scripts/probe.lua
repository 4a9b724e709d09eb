#!lua
-- Writes something small, as an enqueue would; refused by a server without memory.
--
-- KEYS  1 meta, 2 absent
-- Returns { now }

-- @include base clock
redis.call('HINCRBY', meta, 'probes', 1)
return { tostring(now) }

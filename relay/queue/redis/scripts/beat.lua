#!lua flags=allow-oom
-- The owner lives: its leases are not taken over before `ownerTtlMs` have passed.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner, ownerTtlMs } as JSON
-- Returns { now, when the last of its leases were taken from it, or '' }

-- @include base clock slots leases
local asked = cjson.decode(ARGV[1])
heard(asked.ownerTtlMs)
owner_lives(asked.owner, asked.ownerTtlMs)
return { tostring(now), redis.call('GET', taken_key(asked.owner)) or '' }

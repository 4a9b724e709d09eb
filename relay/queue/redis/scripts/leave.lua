#!lua flags=allow-oom
-- The owner ends: what it has leased waits again.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner } as JSON
-- Returns { now, how many leases are left: call again }

-- @include base clock slots leases
local asked = cjson.decode(ARGV[1])
for _, token in ipairs(redis.call('ZRANGE', owner_key(asked.owner), 0, 499)) do end_lease(token) end
local left = redis.call('ZCARD', owner_key(asked.owner))
if left == 0 then redis.call('ZREM', owners, asked.owner) end
return { tostring(now), left }

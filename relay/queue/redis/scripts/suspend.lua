#!lua flags=allow-oom
-- No claims of a destination for some time; 0 or less lifts it.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { destination, forMs } as JSON
-- Returns { now }

-- @include base clock slots
local asked = cjson.decode(ARGV[1])
local destination = asked.destination
redis.call('ZREM', suspended, destination)
-- Suspensions end by time; some of those that ended are forgotten here.
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', suspended, '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', suspended, ended)
end
if asked.forMs > 0 then redis.call('ZADD', suspended, now + asked.forMs, destination) end
local parked = redis.call('SMEMBERS', parked_key(destination))
redis.call('DEL', parked_key(destination))
for _, slot in ipairs(parked) do
  local due = redis.call('ZSCORE', due_of_slots, slot)
  if due then redis.call('ZADD', wake_of_slots, park_until(slot, tonumber(due)), slot) end
end
return { tostring(now) }

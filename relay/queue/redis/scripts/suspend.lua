#!lua flags=allow-oom
-- No claims of a destination by this owner for some time; 0 or less lifts it.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner, destination, forMs } as JSON
-- Returns { now }

-- @include base clock
local asked = cjson.decode(ARGV[1])
local key = suspended_key(asked.owner)
redis.call('ZREM', key, asked.destination)
-- Suspensions end by time; of an owner that is gone they are forgotten a minute after the last of them.
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if asked.forMs > 0 then
  redis.call('ZADD', key, now + asked.forMs, asked.destination)
  redis.call('PEXPIRE', key, math.max(asked.forMs + 60000, redis.call('PTTL', key)))
end
return { tostring(now) }

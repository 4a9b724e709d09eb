#!lua
-- Makes the partition where it is not there yet. The number of partitions is the first opener's. Refuses a user who may not run all that the other
-- scripts do: they would stop in the middle of what they do, and Redis takes nothing back.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { version, partitions } as JSON
-- Returns { now, version, partitions }

-- @include base clock
local asked = cjson.decode(ARGV[1])
local needed = 'EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HLEN HMGET HSET HSETNX PERSIST PEXPIRE PTTL RENAME SET TIME UNLINK '
  .. 'ZADD ZCARD ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZREM ZREMRANGEBYSCORE ZSCORE'
for command in string.gmatch(needed, '%S+') do
  if not redis.acl_check_cmd(command, meta, meta, meta) then
    return redis.error_reply('NOPERM this user may not run ' .. command .. ', which the queue needs')
  end
end
redis.call('HSETNX', meta, 'version', asked.version)
redis.call('HSETNX', meta, 'partitions', asked.partitions)
return { tostring(now), redis.call('HGET', meta, 'version'), redis.call('HGET', meta, 'partitions') }

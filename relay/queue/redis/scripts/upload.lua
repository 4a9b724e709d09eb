#!lua
-- A piece of a content whose message is to come; all of them go by themselves when it does not.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { upload, piece, lifeMs } as JSON, 2 the piece
-- Returns { now }

-- @include base clock
local asked = cjson.decode(ARGV[1])
local key = base .. 'u:' .. asked.upload
redis.call('HSET', key, asked.piece, ARGV[2])
redis.call('PEXPIRE', key, asked.lifeMs)
return { tostring(now) }

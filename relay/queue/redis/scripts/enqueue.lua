#!lua
-- Stores one message: Leased to its owner, or Waiting and due now.
--
-- 1. refuse when the id is taken or the uploaded content is gone; say so when this very call was made before (its answer was lost)
-- 2. note that the owner lives
-- 3. store the message, its leases or its places in line, and the counters
--
-- KEYS  1 meta, 2 absent (keys.ts: why)
-- ARGV  1 { message, owner, ownerTtlMs, leaseMs } as JSON, 2 head and content
-- Returns { now, 0 stored | 1 was stored before | 2 came and went | -1 the id is taken | -2 the uploaded content is gone }
-- Refused by a server without memory, before anything is written.

-- @include base clock slots leases messages
local asked = cjson.decode(ARGV[1])
local verdict = unfit(asked.message)
if verdict ~= 0 then return { tostring(now), verdict } end
if asked.leaseMs then owner_lives(asked.owner, asked.ownerTtlMs) end
put_message(asked.message, ARGV[2], asked.leaseMs or 0)
-- Others may settle it before the one who asked knows that it is stored, and asks again.
if not asked.leaseMs then redis.call('HSET', message_key(asked.message.id), 'w', now) end
return { tostring(now), 0 }

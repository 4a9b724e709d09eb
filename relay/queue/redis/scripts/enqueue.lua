#!lua
-- Stores messages, each by itself: Leased to their owner, or Waiting and due now.
--
-- 1. refuse when the id is taken or the uploaded content is not whole; say so when this very call was made before (its answer was lost)
-- 2. note that the owner lives
-- 3. store the message, its leases or its places in line, and the counters
--
-- KEYS  1 meta, 2 absent (keys.ts: why)
-- ARGV  for each message: { message, owner, ownerTtlMs, leaseMs } as JSON, its record, head and content
-- Returns { now, for each: 0 stored | 1 was stored before | 2 came and went | -1 the id is taken | -2 the uploaded content is not whole }
-- Refused by a server without memory, before anything is written.

-- @include base clock slots leases messages each
local heard_of = {}
local function enqueue(asked, bodies)
  local message = asked.message
  local verdict = unfit(message, bodies[1])
  -- A write, for what waits behind it (WAIT, WAITAOF): by another connection than the first time, a server from 7.2 on would wait for nothing.
  if verdict == 1 then count('repeated', 1) end
  if verdict ~= 0 then return verdict end
  if asked.leaseMs and not heard_of[asked.owner] then
    heard_of[asked.owner] = true
    owner_lives(asked.owner, asked.ownerTtlMs)
  end
  put_message(message, bodies[1], bodies[2], asked.leaseMs or 0)
  -- Others may settle it before the one who asked knows that it is stored, and asks again.
  if not asked.leaseMs then redis.call('HSET', message_key(message.id), 'w', now) end
  return 0
end
return each(function() return 2 end, enqueue)

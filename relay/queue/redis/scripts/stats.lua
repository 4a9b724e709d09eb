#!lua flags=no-writes,allow-oom
-- Counters, and the longest overdue Waiting recipient.
--
-- KEYS  1 meta, 2 absent
-- Returns { now, accepted, delivered, failed, discarded, waiting, leased, held, oldest due time or '' }

-- @include base clock
local answer = { tostring(now) }
local names = { 'accepted', 'delivered', 'failed', 'discarded', 'waiting', 'leased', 'held' }
for number, value in ipairs(redis.call('HMGET', meta, unpack(names))) do answer[number + 1] = value or '0' end
local first = redis.call('ZRANGE', due_of_slots, 0, 0, 'WITHSCORES')
answer[#answer + 1] = (first[2] and tonumber(first[2]) <= now) and first[2] or ''
return answer

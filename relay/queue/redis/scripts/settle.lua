#!lua flags=allow-oom
-- Outcomes of claims, each by itself, with the messages they cause.
--
-- 1. refuse when the lease has ended, or does not hold a recipient; refuse when a message it causes cannot be stored
-- 2. end the lease of the recipients that have an outcome
-- 3. Deferred ones wait again; the others are gone, and the message with the last of them
-- 4. store the messages; change the counters
--
-- KEYS  1 meta, 2 absent
-- ARGV  for each claim: { token, id, owner, outcomes: [[index, result, delayMs, attempted, warned, reason, reply]], messages } as JSON,
--       record, and head and content, of each message
-- Returns { now, for each: 0 settled | -1 the lease is lost | -2 a recipient is not under it | -3 a message has a taken id | -4 its content is gone }

-- @include base clock slots leases messages each
local function settle(asked, bodies)
  local lease = get_lease(asked.token)
  if not lease or lease.i ~= asked.id then return -1 end

  local left = {}
  for _, index in ipairs(lease.x) do left[index] = true end
  for _, outcome in ipairs(asked.outcomes) do
    if not left[outcome[1]] then return -2 end
    left[outcome[1]] = nil
  end
  for number, message in ipairs(asked.messages) do
    local verdict = unfit(message, bodies[2 * number - 1])
    if verdict == -2 then return -4 end
    if verdict ~= 0 then return -3 end
  end

  local still = {}
  for _, index in ipairs(lease.x) do
    if left[index] then still[#still + 1] = index end
  end
  local expiry = #still > 0 and redis.call('ZSCORE', owner_key(asked.owner), asked.token)
  drop_lease(asked.token)
  if #still > 0 then put_lease(asked.token, { i = lease.i, s = lease.s, x = still, d = lease.d }, expiry) end

  local gone, totals, waiting = {}, { Delivered = 0, Failed = 0, Discarded = 0 }, 0
  for _, outcome in ipairs(asked.outcomes) do
    local index, result, delay_ms, attempted, warned, reason, reply = unpack(outcome)
    if result == 'Deferred' then
      local own = read_state(redis.call('HGET', message_key(asked.id), 'd' .. index))
      local due = math.max(0, now + delay_ms)
      redis.call('ZADD', slot_key(lease.s), due, asked.id .. ' ' .. index)
      slot_waits(lease.s, due)
      write_state(asked.id, index, {
        state = 'w', attempts = own.attempts + attempted, warned = math.max(own.warned, warned), due = due, reason = reason, reply = reply,
      })
      waiting = waiting + 1
    else
      gone[#gone + 1] = index
      totals[result] = totals[result] + 1
    end
  end
  if #gone > 0 then remove_recipients(asked.id, gone) end
  count('leased', -#asked.outcomes)
  count('waiting', waiting)
  count('delivered', totals.Delivered)
  count('failed', totals.Failed)
  count('discarded', totals.Discarded)
  for number, message in ipairs(asked.messages) do put_message(message, bodies[2 * number - 1], bodies[2 * number], 0) end
  return 0
end
return each(function(asked) return 2 * #asked.messages end, settle)

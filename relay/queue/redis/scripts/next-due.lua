#!lua flags=allow-oom
-- When a claim will next find something: a recipient falls due, a suspension ends, a lease runs out, another owner's life does.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner, ownerTtlMs } as JSON
-- Returns { now, time or '' }

-- @include base clock slots leases
local asked = cjson.decode(ARGV[1])
local earliest
local function note(time)
  if time and (not earliest or tonumber(time) < earliest) then earliest = tonumber(time) end
end

-- Slots that this owner has suspended are passed over, some hundreds at most: who sleeps looks again within seconds.
local passed = 0
local function note_slot(slot, due)
  local until_ms = suspended_until(asked.owner, slot)
  note(math.max(tonumber(due), until_ms))
  passed = passed + 1
  return until_ms == 0 or passed >= 500
end
local function note_lines()
  for _, tenant in ipairs(redis.call('ZRANGE', tenants, 0, 99)) do
    for _, slot in ipairs(redis.call('ZRANGE', line_key(tenant), 0, 499)) do
      if note_slot(slot, redis.call('ZSCORE', due_of_slots, slot) or now) then return end
    end
  end
end
note_lines()
local timed = redis.call('ZRANGE', wake_of_slots, 0, 499, 'WITHSCORES')
for at = 1, #timed, 2 do
  if note_slot(timed[at], timed[at + 1]) then break end
end
local all = redis.call('ZRANGE', owners, 0, -1, 'WITHSCORES')
for at = 1, #all, 2 do
  local first = redis.call('ZRANGE', owner_key(all[at]), 0, 0, 'WITHSCORES')
  if #first > 0 then
    note(first[2])
    if all[at] ~= asked.owner then note(dead_at(all[at + 1], asked.ownerTtlMs)) end
  end
end
return { tostring(now), earliest and string.format('%.0f', earliest) or '' }

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

-- Those suspended meanwhile move on; few, since a claim does the same.
for _ = 1, 1000 do
  local tenant = redis.call('ZRANGE', tenants, 0, 0)[1]
  local slot = tenant and redis.call('ZRANGE', line_key(tenant), 0, 0)[1]
  if not slot then break end
  if suspended_until(slot) <= now then
    note(redis.call('ZSCORE', due_of_slots, slot) or now)
    break
  end
  leave_line(slot)
  redis.call('ZADD', wake_of_slots, park_until(slot, now), slot)
end
for _ = 1, 1000 do
  local first = redis.call('ZRANGE', wake_of_slots, 0, 0, 'WITHSCORES')
  if #first == 0 then break end
  local at = park_until(first[1], tonumber(first[2]))
  if at <= tonumber(first[2]) then
    note(first[2])
    break
  end
  redis.call('ZADD', wake_of_slots, at, first[1])
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

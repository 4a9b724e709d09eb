-- A slot is a tenant and a destination with Waiting recipients. `due` has the due time of its earliest; until then it is in `wake`, from then
-- on in its tenant's line, ready to be claimed. Being in both does no harm.

local function leave_line(slot)
  local tenant = tenant_of(slot)
  if redis.call('ZREM', line_key(tenant), slot) == 1 and redis.call('EXISTS', line_key(tenant)) == 0 then
    redis.call('ZREM', tenants, tenant)
  end
end

-- A recipient began to wait.
local function slot_waits(slot, due)
  local before = redis.call('ZSCORE', due_of_slots, slot)
  if before and tonumber(before) <= due then return end
  redis.call('ZADD', due_of_slots, due, slot)
  redis.call('ZADD', wake_of_slots, due, slot)
end

-- Recipients stopped waiting, or had their turn: what is the earliest now? Returns it.
local function slot_changed(slot)
  local first = redis.call('ZRANGE', slot_key(slot), 0, 0, 'WITHSCORES')
  if #first == 0 then
    redis.call('ZREM', due_of_slots, slot)
    redis.call('ZREM', wake_of_slots, slot)
    leave_line(slot)
    return nil
  end
  local due = tonumber(first[2])
  redis.call('ZADD', due_of_slots, due, slot)
  if due > now then leave_line(slot) end
  if due > now or not redis.call('ZSCORE', line_key(tenant_of(slot)), slot) then
    redis.call('ZADD', wake_of_slots, due, slot)
  end
  return due
end

-- 0: not, for this owner.
local function suspended_until(owner, slot)
  local until_ms = redis.call('ZSCORE', suspended_key(owner), destination_of(slot))
  return until_ms and tonumber(until_ms) > now and tonumber(until_ms) or 0
end

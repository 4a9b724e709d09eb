#!lua flags=allow-oom
-- Leases due recipients, in turns of tenants and of their destinations.
--
-- 1. note that the owner lives; end leases that are over, and those of earlier claims whose answer never arrived
-- 2. slots whose time has come join their tenant's line
-- 3. the first slot of the first tenant has its turn: some of its recipients, and those of the same messages; then both go to the end
-- 4. until a limit is reached or no line is left; slots whose destination or tenant has had its share keep their places, those whose destination
--    this owner has suspended go to the end of the line. A tenant of which so many were passed over has no turn any more: others have theirs
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner, ownerTtlMs, call, leaseMs, limit, perDestination, given: {destination: n}, perTenant?, givenTenants,
--           bytes, abandoned: [call] } as JSON
-- Returns { now, [token, id, destination, [index], [state], record, body] ... }

-- @include base clock slots leases messages
local asked = cjson.decode(ARGV[1])
local most_slots = 1000
heard(asked.ownerTtlMs)
owner_lives(asked.owner, asked.ownerTtlMs)
for _, call in ipairs(asked.abandoned) do
  local number = 1
  while end_lease(asked.owner .. '.' .. call .. '.' .. number) > 0 do number = number + 1 end
end
end_leases(500, asked.ownerTtlMs)

local turn = tonumber(redis.call('HGET', meta, 'turn') or '0')
local function to_line(slot)
  turn = turn + 1
  redis.call('ZADD', line_key(tenant_of(slot)), 'NX', turn, slot)
  redis.call('ZADD', tenants, 'NX', turn, tenant_of(slot))
end
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', wake_of_slots, '-inf', now, 'LIMIT', 0, most_slots)) do
  redis.call('ZREM', wake_of_slots, slot)
  to_line(slot)
end

local taken, bytes, numbers = 0, 0, 0
local answer = { tostring(now) }
local given, given_tenants = asked.given, asked.givenTenants
local share = math.ceil(math.min(asked.limit, asked.perDestination) / math.max(1, redis.call('ZCARD', tenants)))

local function take(slot, id, indices, members)
  redis.call('ZREM', slot_key(slot), unpack(members))
  table.sort(indices)
  local fields = { 'r', 'b' }
  for _, index in ipairs(indices) do fields[#fields + 1] = 'd' .. index end
  local found = redis.call('HMGET', message_key(id), unpack(fields))
  if not found[1] then
    -- Cannot be; should it, the books show the difference instead of the queue standing still.
    count('damaged', #indices)
    count('waiting', -#indices)
    return 0
  end
  numbers = numbers + 1
  local token = asked.owner .. '.' .. asked.call .. '.' .. numbers
  put_lease(token, { i = id, s = slot, x = indices, d = math.min(now, tonumber(redis.call('ZSCORE', due_of_slots, slot) or now)) }, now + asked.leaseMs)
  local states = {}
  for at = 3, #fields do states[#states + 1] = found[at] or '' end
  answer[#answer + 1] = { token, id, destination_of(slot), indices, states, found[1], found[2] }
  bytes = bytes + #found[2]
  return #indices
end

-- Members of one message stand together, since they fell due together.
local function visit(slot, wanted, room)
  local members = redis.call('ZRANGEBYSCORE', slot_key(slot), '-inf', now, 'LIMIT', 0, math.min(room, wanted + 100))
  local order, of = {}, {}
  for number, member in ipairs(members) do
    local id, index = string.match(member, '^(.*) (%d+)$')
    if not of[id] then
      if number > wanted then break end
      order[#order + 1] = id
      of[id] = { indices = {}, members = {} }
    end
    table.insert(of[id].indices, tonumber(index))
    table.insert(of[id].members, member)
  end
  local got = 0
  for _, id in ipairs(order) do
    if bytes >= asked.bytes then break end
    got = got + take(slot, id, of[id].indices, of[id].members)
  end
  return got
end

local aside, passed = {}, {}
local most_passed = math.ceil(most_slots / math.max(1, redis.call('ZCARD', tenants)))
local any_suspended = redis.call('EXISTS', suspended_key(asked.owner)) == 1
while taken < asked.limit and bytes < asked.bytes do
  local tenant = redis.call('ZRANGE', tenants, 0, 0)[1]
  if not tenant then break end
  local first = redis.call('ZRANGE', line_key(tenant), 0, 0, 'WITHSCORES')
  local slot = first[1]
  if not slot then
    redis.call('ZREM', tenants, tenant)
  else
    local destination = destination_of(slot)
    local room = math.min(asked.limit - taken, asked.perDestination - (given[destination] or 0))
    local wanted = math.min(share, room)
    if asked.perTenant then wanted = math.min(wanted, asked.perTenant - (given_tenants[tenant] or 0)) end
    local suspended = any_suspended and suspended_until(asked.owner, slot) > 0
    if wanted <= 0 or suspended then
      if suspended then turn = turn + 1 end
      leave_line(slot)
      aside[#aside + 1] = { slot, suspended and turn or first[2] }
      passed[tenant] = (passed[tenant] or 0) + 1
      if passed[tenant] >= most_passed then redis.call('ZREM', tenants, tenant) end
    else
      local got = visit(slot, wanted, room)
      taken = taken + got
      given[destination] = (given[destination] or 0) + got
      given_tenants[tenant] = (given_tenants[tenant] or 0) + got
      slot_changed(slot)
      turn = turn + 1
      redis.call('ZADD', line_key(tenant), 'XX', turn, slot)
      redis.call('ZADD', tenants, 'XX', turn, tenant)
    end
  end
end
for _, place in ipairs(aside) do
  redis.call('ZADD', line_key(tenant_of(place[1])), place[2], place[1])
  redis.call('ZADD', tenants, 'NX', place[2], tenant_of(place[1]))
end
redis.call('HSET', meta, 'turn', turn)
count('waiting', -taken)
count('leased', taken)
return answer

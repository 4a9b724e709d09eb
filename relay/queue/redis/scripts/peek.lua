#!lua flags=no-writes,allow-oom
-- Which tenants have something to claim, when a queue has several partitions and a claim must be fair over all of them.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { ownerTtlMs } as JSON
-- Returns { now, due time of the earliest or '', tenant ... }; at most 1000 tenants

-- @include base clock slots leases
local first_due = redis.call('ZRANGE', due_of_slots, 0, 0, 'WITHSCORES')
local found, seen = { tostring(now), first_due[2] or '' }, {}
local function note(tenant)
  if not seen[tenant] then
    seen[tenant] = true
    found[#found + 1] = tenant
  end
end
for _, tenant in ipairs(redis.call('ZRANGE', tenants, 0, 999)) do note(tenant) end
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', wake_of_slots, '-inf', now, 'LIMIT', 0, 1000)) do note(tenant_of(slot)) end
for _, owner in ipairs(redis.call('ZRANGE', owners, 0, -1, 'WITHSCORES')) do
  local first = redis.call('ZRANGE', owner_key(owner), 0, 0, 'WITHSCORES')
  -- A lease that is over is a reason to visit, whoever it is of.
  if first[2] and tonumber(first[2]) <= now then note('') end
end
local silent = dead_at(0, cjson.decode(ARGV[1]).ownerTtlMs) <= now and redis.call('ZRANGEBYSCORE', owners, '-inf', now) or {}
for _, owner in ipairs(silent) do
  if redis.call('EXISTS', owner_key(owner)) == 1 then note('') end
end
return found

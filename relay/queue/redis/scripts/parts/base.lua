-- Names of the partition's keys (keys.ts tells what each holds) and its counters.
local base = string.sub(KEYS[1], 1, -5)
local meta = KEYS[1]
local ids, leases, owners = base .. 'ids', base .. 'leases', base .. 'owners'
local due_of_slots, wake_of_slots, tenants = base .. 'due', base .. 'wake', base .. 'tenants'

local function message_key(id) return base .. 'm:' .. id end
local function body_key(id) return base .. 'b:' .. id end
local function slot_key(slot) return base .. 'q:' .. slot end
local function line_key(tenant) return base .. 'line:' .. tenant end
local function owner_key(owner) return base .. 'l:' .. owner end
-- Each owner's own: what one relay's lanes cannot take another's may.
local function suspended_key(owner) return base .. 'suspended:' .. owner end

-- A tenant is the name of a namespace, which has no bar.
local function slot_of(tenant, destination) return tenant .. '|' .. destination end
local function tenant_of(slot) return string.match(slot, '^([^|]*)|') end
local function destination_of(slot) return string.match(slot, '|(.*)$') end

-- While a script does several transitions (each.lua): what they come to.
local booked

local function count(counter, by)
  if by == 0 then return end
  if booked then
    booked[counter] = (booked[counter] or 0) + by
  else
    redis.call('HINCRBY', meta, counter, by)
  end
end

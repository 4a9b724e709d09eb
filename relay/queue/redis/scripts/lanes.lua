#!lua flags=allow-oom
-- Connections and rests of lanes, over all owners.
--
-- 1. an owner that was silent about a lane for ownerTtlMs has none of its connections any more
-- 2. what this one says takes the place of what it said before, unless it is older
-- 3. a failure makes the lane rest, once for all who fail at a time; nobody has connections of a lane that rests
-- 4. until one owner has done well, it alone has connections; after a rest, one
-- 5. else each may have as many as all who want more than that have at least (`even`), and beyond it what nobody is short of
--
-- A lane is a hash: rest, failures, proven, settles, and for each owner `o:<owner>`: call, alive until, has, wants, works. It goes when nobody has or wants
-- anything and nothing is to be remembered.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner, ownerTtlMs, call, settleMs?, settleLanesMs?, lanes: [{ key, most, holds, open, wants, works, proven, restMs?, failures?, mended? }] } as JSON
--       settleMs: the connection is another one, perhaps to a server that has not heard of the last grants: nobody gets more for so long
--       settleLanesMs: these lanes were kept elsewhere until now: of them nobody gets more for so long
-- Returns { now, [may, others work, rest for ms, failures, part] ... }; part: what it has for sure when others have ended what they may not have

-- @include base clock slots leases
local asked = cjson.decode(ARGV[1])
-- Longer than the longest rest.
local remember_ms = 1800000
heard(asked.ownerTtlMs)
-- After a silence of all, each owner has its time again.
local nobody_dead_before = dead_at(0, asked.ownerTtlMs)
-- Neither this nor a rest lasts longer because the clock was set back.
local settles_until = math.min(tonumber(redis.call('HGET', meta, 'settles') or '0'), now + asked.ownerTtlMs)
if asked.settleMs then
  settles_until = math.max(settles_until, now + asked.settleMs)
  redis.call('HSET', meta, 'settles', settles_until)
end

local function read_lane(key)
  local lane = { rest = 0, failures = 0, proven = 0, settles = 0, heard = 0, others = {}, held = 0, works = 0 }
  local found = redis.call('HGETALL', key)
  for at = 1, #found, 2 do
    local name = string.match(found[at], '^o:(.*)$')
    if not name then
      lane[found[at]] = tonumber(found[at + 1])
    else
      local call, alive_until, has, wants, works = string.match(found[at + 1], '^(%d+) (%d+) (%d+) (%d+) (%d)$')
      if name == asked.owner then
        lane.heard = tonumber(call)
      elseif math.max(tonumber(alive_until), nobody_dead_before) <= now or tonumber(alive_until) > now + 2 * asked.ownerTtlMs then
        redis.call('HDEL', key, found[at])
      else
        lane.others[#lane.others + 1] = { has = tonumber(has), wants = tonumber(wants) }
        lane.held = lane.held + has
        if works == '1' then lane.works = 1 end
      end
    end
  end
  lane.rest = math.min(lane.rest, now + remember_ms)
  lane.settles = math.min(math.max(lane.settles, now + (asked.settleLanesMs or 0)), now + asked.ownerTtlMs)
  return lane
end

local function learn(lane, word)
  if word.mended then
    lane.rest, lane.failures = 0, 0
  elseif lane.rest > now then
    return
  elseif word.restMs then
    lane.rest, lane.failures, lane.proven = now + word.restMs, word.failures, 0
  elseif word.proven then
    lane.failures, lane.proven = 0, 1
  end
end

-- The most that each can have who wants it.
local function even_share(most, wants)
  table.sort(wants)
  local left = most
  for number, want in ipairs(wants) do
    local even = math.floor(left / (#wants - number + 1))
    if want > even then return even end
    left = left - want
  end
  return most
end

local function grant(lane, word)
  if lane.rest > now then return 0, 0 end
  local most = word.most
  if lane.proven == 0 then
    if lane.held > 0 then return 0, 0 end
    if lane.failures > 0 then most = 1 end
  end
  local wants, short = { word.wants }, 0
  for _, other in ipairs(lane.others) do wants[#wants + 1] = other.wants end
  local even = even_share(most, wants)
  for _, other in ipairs(lane.others) do short = short + math.max(0, math.min(other.wants, even) - other.has) end
  local room = math.max(0, most - lane.held)
  local may = math.max(math.min(word.wants, even, room), math.min(math.max(word.wants, word.open), room - short))
  if now < math.max(settles_until, lane.settles) then may = math.min(may, word.holds) end
  return may, math.min(word.wants, even)
end

local function keep(key, lane, word, may)
  local has, mine = math.max(word.holds, may), 'o:' .. asked.owner
  local silent = has == 0 and word.wants == 0
  if silent and #lane.others == 0 and lane.failures == 0 then
    redis.call('UNLINK', key)
    return
  end
  local fields = { 'rest', string.format('%.0f', lane.rest), 'failures', lane.failures, 'proven', lane.proven }
  if lane.settles > now then fields[#fields + 1], fields[#fields + 2] = 'settles', string.format('%.0f', lane.settles) end
  if silent then
    redis.call('HDEL', key, mine)
  else
    local text = string.format('%d %.0f %d %d %d', asked.call, now + asked.ownerTtlMs, has, word.wants, word.works and 1 or 0)
    fields[#fields + 1], fields[#fields + 2] = mine, text
  end
  redis.call('HSET', key, unpack(fields))
  local remembered = lane.failures > 0 and math.max(0, lane.rest - now) + remember_ms or 0
  redis.call('PEXPIRE', key, math.max(3 * asked.ownerTtlMs, remembered))
end

local answer = { tostring(now) }
for number, word in ipairs(asked.lanes) do
  local key = base .. 'lane:' .. word.key
  local lane, may, part = read_lane(key), 0, 0
  if lane.heard <= asked.call then
    learn(lane, word)
    may, part = grant(lane, word)
    keep(key, lane, word, may)
  end
  answer[number + 1] = { may, lane.works, math.max(0, lane.rest - now), lane.failures, part }
end
return answer

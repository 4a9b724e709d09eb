#!lua flags=allow-oom
-- Hold, release, retry now, by filter; a slice of recipients at a time.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { move: 'hold' | 'release' | 'retryNow', filter } as JSON
-- Returns { now, moved, next id or '', next index }

-- @include base clock slots messages walk
local asked = cjson.decode(ARGV[1])
local moved, changed = 0, {}
local after = walk(asked.filter, 1000, function(entry)
  local own, member = entry.own, entry.id .. ' ' .. entry.index
  -- Who is due already keeps its time: the age of the oldest due recipient is an alarm.
  own.due = asked.move == 'hold' and entry.due or (asked.move == 'retryNow' and math.min(now, entry.due) or now)
  own.state = asked.move == 'hold' and 'h' or 'w'
  if asked.move == 'hold' then
    redis.call('ZREM', slot_key(entry.slot), member)
  else
    redis.call('ZADD', slot_key(entry.slot), own.due, member)
  end
  write_state(entry.id, entry.index, own)
  changed[entry.slot] = true
  moved = moved + 1
end)
for slot in pairs(changed) do slot_changed(slot) end
if asked.move == 'hold' then
  count('waiting', -moved)
  count('held', moved)
elseif asked.move == 'release' then
  count('held', -moved)
  count('waiting', moved)
end
return { tostring(now), moved, after and after.id or '', after and after.index or 0 }

#!lua flags=allow-oom
-- Takes back a message whose enqueue was told as failed because its answer was lost, unless somebody has it by now.
--
-- 1. when it is not there it may still come: then it is refused; nothing to do when another call stored that id
-- 2. leave it when one of its leases has ended, or a recipient no longer waits
-- 3. remove it; it counts as accepted and discarded
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { message } as JSON, 2 its record, as for enqueue
-- Returns { now, 0 not there | 1 taken back | -1 somebody has it }

-- @include base clock slots leases messages
local message = cjson.decode(ARGV[1]).message
local record = redis.call('HGET', message_key(message.id), 'r')
if record ~= ARGV[2] then
  if not record then remember_gone(message.id) end
  return { tostring(now), 0 }
end
for _, group in ipairs(message.groups) do
  local lease = group.token and get_lease(group.token)
  if group.token and (not lease or #lease.x ~= #group.x) then return { tostring(now), -1 } end
  for _, index in ipairs(group.token and {} or group.x) do
    local own = redis.call('HEXISTS', message_key(message.id), 'd' .. index)
    local waits = redis.call('ZSCORE', slot_key(slot_of(message.tenant, group.to)), message.id .. ' ' .. index)
    if own == 1 or not waits then return { tostring(now), -1 } end
  end
end
for _, group in ipairs(message.groups) do
  if group.token then
    drop_lease(group.token)
    count('leased', -#group.x)
  else
    local slot = slot_of(message.tenant, group.to)
    for _, index in ipairs(group.x) do redis.call('ZREM', slot_key(slot), message.id .. ' ' .. index) end
    slot_changed(slot)
    count('waiting', -#group.x)
  end
end
redis.call('UNLINK', message_key(message.id), body_key(message.id))
redis.call('ZREM', ids, message.id)
count('discarded', message.n)
remember_gone(message.id)
return { tostring(now), 1 }

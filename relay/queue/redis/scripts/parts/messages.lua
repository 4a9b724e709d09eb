-- A message: hash of `r` (record and recipients, JSON), `b` (head and content), `left` (recipients not yet gone), `w` (when it was born
-- Waiting, or a lease of it ended), and for each recipient about whom there is something to say `d<index>`: state, attempts, warned, due, reason, reply, one a
-- line. State `-` is gone, `h` Held.

-- A question may arrive long after it was asked, or twice. For a minute it is remembered of a message that it came and went.
local gone_ms = 60000

local function gone_key(id) return base .. 'gone:' .. id end

local function remember_gone(id)
  redis.call('SET', gone_key(id), 1, 'PX', gone_ms)
end

-- What speaks against storing it: 0 nothing, 1 this very call stored it before, 2 it came and went, -1 the id is taken, -2 its uploaded
-- content is not there whole: some pieces may have gone with a server that another took over from.
local function unfit(message, its_record)
  if redis.call('EXISTS', message_key(message.id), gone_key(message.id)) > 0 then
    local record = redis.call('HGET', message_key(message.id), 'r')
    if not record then return 2 end
    return record == its_record and 1 or -1
  end
  if message.upload and redis.call('HLEN', base .. 'u:' .. message.upload) ~= message.pieces then return -2 end
  return 0
end

-- Born Leased where its groups have tokens, else Waiting and due now.
local function put_message(message, record, body, lease_ms)
  redis.call('HSET', message_key(message.id), 'r', record, 'b', body, 'left', message.n)
  redis.call('ZADD', ids, 0, message.id)
  if message.upload then
    redis.call('RENAME', base .. 'u:' .. message.upload, body_key(message.id))
    redis.call('PERSIST', body_key(message.id))
  end
  local leased = 0
  for _, group in ipairs(message.groups) do
    local slot = slot_of(message.tenant, group.to)
    if group.token then
      put_lease(group.token, { i = message.id, s = slot, x = group.x, d = now }, now + lease_ms)
      leased = leased + #group.x
    else
      for _, index in ipairs(group.x) do redis.call('ZADD', slot_key(slot), now, message.id .. ' ' .. index) end
      slot_waits(slot, now)
    end
  end
  count('accepted', message.n)
  count('leased', leased)
  count('waiting', message.n - leased)
end

local function read_state(text)
  if not text then return { state = 'w', attempts = 0, warned = 0, due = 0, reason = '', reply = '' } end
  local state, attempts, warned, due, reason, reply = string.match(text, '^(.)\n(%d+)\n(%d)\n(%d+)\n([^\n]*)\n(.*)$')
  return { state = state, attempts = tonumber(attempts), warned = tonumber(warned), due = tonumber(due), reason = reason, reply = reply }
end

local function write_state(id, index, of)
  local text = string.format('%s\n%.0f\n%d\n%.0f\n%s\n%s', of.state, of.attempts, of.warned, of.due, of.reason, of.reply)
  redis.call('HSET', message_key(id), 'd' .. index, text)
end

-- The last one takes the message with it.
local function remove_recipients(id, indices)
  local found = redis.call('HMGET', message_key(id), 'left', 'w')
  local left = tonumber(found[1]) - #indices
  if left <= 0 then
    if found[2] and now - found[2] < gone_ms then remember_gone(id) end
    redis.call('UNLINK', message_key(id), body_key(id))
    redis.call('ZREM', ids, id)
    return
  end
  redis.call('HSET', message_key(id), 'left', left)
  for _, index in ipairs(indices) do
    write_state(id, index, { state = '-', attempts = 0, warned = 0, due = 0, reason = '', reply = '' })
  end
end

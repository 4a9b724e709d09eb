-- A lease: token -> message, slot, recipients, and since when they were due. A token is `<owner>.<one call>.<number>`: it is used once, so
-- whoever presents it after it ended is refused, whatever happened in between.

local function owner_of(token) return string.match(token, '^([^.]+)%.') end

local function owner_lives(owner, ttl_ms)
  redis.call('ZADD', owners, 'GT', now + ttl_ms, owner)
end

-- Somebody is heard. After a silence of all of them it was the server that was away: then each owner has its time again to say that it lives.
-- So it has when the clock was set back, or another server's, which is behind, took its place; what was said by the other clock would hold until then.
local function heard(ttl_ms)
  local last = redis.call('HGET', meta, 'heard')
  local set_back = last and last - now > 1000
  if not last or now - last > ttl_ms / 2 or set_back then redis.call('HSET', meta, 'awake', now) end
  redis.call('HSET', meta, 'heard', now)
  if not set_back then return end
  for _, owner in ipairs(redis.call('ZRANGEBYSCORE', owners, now + ttl_ms, '+inf')) do
    redis.call('ZADD', owners, now + ttl_ms, owner)
  end
end

-- When an owner that lives until then counts as dead.
local function dead_at(alive_until, ttl_ms)
  local awake = redis.call('HGET', meta, 'awake')
  return math.max(tonumber(alive_until), (awake and tonumber(awake) or 0) + ttl_ms)
end

local function put_lease(token, lease, expiry)
  redis.call('HSET', leases, token, cjson.encode(lease))
  redis.call('ZADD', owner_key(owner_of(token)), expiry, token)
end

local function get_lease(token)
  local text = redis.call('HGET', leases, token)
  return text and cjson.decode(text) or nil
end

-- ZREM first: a first write that takes memory would be refused by a server that is full.
local function drop_lease(token)
  redis.call('ZREM', owner_key(owner_of(token)), token)
  redis.call('HDEL', leases, token)
end

-- Its recipients wait again. Returns how many.
local function end_lease(token)
  local lease = get_lease(token)
  drop_lease(token)
  if not lease then return 0 end
  -- What was leased was due, also where the clock was set back since.
  local due = math.min(lease.d, now)
  for _, index in ipairs(lease.x) do
    redis.call('ZADD', slot_key(lease.s), due, lease.i .. ' ' .. index)
  end
  slot_waits(lease.s, due)
  -- Others may settle it now before who stored it asks again: that it waited is known as of what was born Waiting.
  if redis.call('EXISTS', message_key(lease.i)) == 1 then redis.call('HSET', message_key(lease.i), 'w', now) end
  count('leased', -#lease.x)
  count('waiting', #lease.x)
  return #lease.x
end

-- Its owner learns of it when it next says that it lives: not every clock goes on while a machine stands still. For a day, longer than that.
local function taken_key(owner) return base .. 'taken:' .. owner end
local function note_taken(owner, tokens)
  if #tokens > 0 then redis.call('SET', taken_key(owner), now, 'PX', 86400000) end
end

-- Leases that are over, by time or because their owner gave no sign of life; `most` at a time, so that no script is long.
local function end_leases(most, ttl_ms)
  local left = most
  local silent = dead_at(0, ttl_ms) <= now and redis.call('ZRANGEBYSCORE', owners, '-inf', now) or {}
  for _, owner in ipairs(silent) do
    local tokens = redis.call('ZRANGE', owner_key(owner), 0, left - 1)
    for _, token in ipairs(tokens) do
      end_lease(token)
      left = left - 1
    end
    note_taken(owner, tokens)
    if redis.call('EXISTS', owner_key(owner)) == 0 then redis.call('ZREM', owners, owner) end
    if left <= 0 then return end
  end
  for _, owner in ipairs(redis.call('ZRANGE', owners, 0, -1)) do
    local tokens = redis.call('ZRANGEBYSCORE', owner_key(owner), '-inf', now, 'LIMIT', 0, left)
    for _, token in ipairs(tokens) do
      end_lease(token)
      left = left - 1
    end
    note_taken(owner, tokens)
    if left <= 0 then return end
  end
end

#!lua flags=allow-oom
-- Extends leases. What has ended stays ended: only its owner may, and only while it is one.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { owner, ownerTtlMs, leaseMs, tokens } as JSON
-- Returns { now, lost token ... }

-- @include base clock slots leases
local asked = cjson.decode(ARGV[1])
owner_lives(asked.owner, asked.ownerTtlMs)
local answer = { tostring(now) }
for _, token in ipairs(asked.tokens) do
  if owner_of(token) == asked.owner and redis.call('HEXISTS', leases, token) == 1 then
    redis.call('ZADD', owner_key(asked.owner), now + asked.leaseMs, token)
  else
    answer[#answer + 1] = token
  end
end
return answer

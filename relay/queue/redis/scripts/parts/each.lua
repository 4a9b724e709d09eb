-- Several questions of one kind in one script, for what a script costs besides its work. Each is a transition of its own: an error is the
-- verdict of its question alone. Only counters are summed up over them.
--
-- ARGV  1 a question as JSON, 2... its bodies, then the next question with its bodies, and so on
-- `one(asked, bodies)` does one and returns its verdict; `bodies_of(asked)` says how many there are. Returns { now, verdict ... }
local function each(bodies_of, one)
  local answer, at = { tostring(now) }, 1
  booked = {}
  -- Behind the last question nothing stands, but in tests their time.
  while ARGV[at] and string.sub(ARGV[at], 1, 1) == '{' do
    local asked, bodies = cjson.decode(ARGV[at]), {}
    for number = 1, bodies_of(asked) do bodies[number] = ARGV[at + number] end
    at = at + 1 + #bodies
    local done, verdict = pcall(one, asked, bodies)
    if not done then verdict = { err = type(verdict) == 'table' and verdict.err or ('ERR ' .. tostring(verdict)) } end
    answer[#answer + 1] = verdict
  end
  for counter, by in pairs(booked) do
    if by ~= 0 then redis.call('HINCRBY', meta, counter, by) end
  end
  return answer
end

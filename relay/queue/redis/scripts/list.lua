#!lua flags=no-writes,allow-oom
-- Recipients by filter, in the order of ids; or only how many.
--
-- KEYS  1 meta, 2 absent
-- ARGV  1 { filter: {ids?, domain?, tenant?, state?, receivedBeforeMs?, after?: {id, index}}, most, only: 'Count' | 'Entries' } as JSON
-- Returns { now, matched, next id or '', next index, [id, index, state, due, own state, record] ... }

-- @include base clock slots messages walk
local asked = cjson.decode(ARGV[1])
local matched, entries = 0, {}
local after = walk(asked.filter, asked.most, function(entry)
  matched = matched + 1
  if asked.only == 'Count' then return end
  entries[#entries + 1] = {
    entry.id, entry.index, entry.state, string.format('%.0f', entry.due), entry.own_text or '', entry.text,
  }
end)
return { tostring(now), matched, after and after.id or '', after and after.index or 0, unpack(entries) }

-- Looks at recipients by filter, in the order of ids, a slice at a time. `visit(entry)` gets each match; returns where to read on.

local function ids_of(filter, most)
  local after = filter.after and filter.after.id
  if filter.ids then
    local wanted = {}
    for _, id in ipairs(filter.ids) do
      if not after or id >= after then wanted[#wanted + 1] = id end
    end
    return wanted, false
  end
  local found = redis.call('ZRANGEBYLEX', ids, after and ('[' .. after) or '-', '+', 'LIMIT', 0, most)
  return found, #found == most
end

local function fits(filter, record, recipient)
  if filter.tenant and filter.tenant ~= record.t then return false end
  if filter.domain and filter.domain ~= recipient[2] then return false end
  return not filter.receivedBeforeMs or record.rt < filter.receivedBeforeMs
end

local function state_name(id, index, slot, own)
  if own.state == '-' then return nil end
  if own.state == 'h' then return 'Held', own.due end
  local due = redis.call('ZSCORE', slot_key(slot), id .. ' ' .. index)
  if due then return 'Waiting', tonumber(due) end
  return 'Leased', own.due
end

local function walk(filter, most, visit)
  local looked, matched = 0, 0
  local list, more = ids_of(filter, 500)
  for _, id in ipairs(list) do
    local text = redis.call('HGET', message_key(id), 'r')
    if text then
      local record = cjson.decode(text)
      local from = (filter.after and filter.after.id == id) and filter.after.index + 1 or 0
      for index = from, #record.R - 1 do
        local recipient = record.R[index + 1]
        looked = looked + 1
        if fits(filter, record, recipient) then
          local slot = slot_of(record.t, recipient[3])
          local own_text = redis.call('HGET', message_key(id), 'd' .. index)
          local own = read_state(own_text)
          local state, due = state_name(id, index, slot, own)
          if state and (not filter.state or filter.state == state) then
            visit({ id = id, index = index, slot = slot, state = state, due = due, own = own, own_text = own_text, text = text })
            matched = matched + 1
          end
        end
        if matched >= most or looked >= 4000 then return { id = id, index = index } end
      end
    end
  end
  if more then return { id = list[#list], index = 1000000000 } end
  return nil
end

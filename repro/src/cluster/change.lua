-- Changes contacts of one address-of-record: all that is asked, or nothing.
-- KEYS: its hash, the index of its partition.
-- ARGV: address-of-record, channel, name of the node, most contacts, and for each change six:
--   kind (put, remove, forget, restore), field, Call-ID, CSeq, expires, JSON. Of restore the last is the whole value, and
--   in the place of the CSeq is its version.
-- Gives for each change the version that stands now, 0 where there was nothing to do; or an empty text, and fields with
-- their values as they are: it was refused.
local time = redis.call('TIME')
local now, version = tonumber(time[1]), tonumber(time[1]) * 1000000 + tonumber(time[2])
local function digits(number) return string.format('%.0f', number) end

local all, have, live = redis.call('HGETALL', KEYS[1]), {}, 0
for i = 1, #all, 2 do
  local field, text = all[i], all[i + 1]
  local at, expires, kind, cseq, call = string.match(text, '^(%d+) (%d+) (%a) (%d+) ([^\n]*)\n')
  if not at or tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], field)
  else
    have[field] = { version = tonumber(at), expires = tonumber(expires), bound = kind == 'b', cseq = tonumber(cseq),
      call = call, text = text }
    if kind == 'b' then live = live + 1 end
    version = math.max(version, tonumber(at) + 1)
  end
end

local new, order, refused, added = {}, {}, false, false
local function write(field, at, bound, expires, text)
  if not new[field] then order[#order + 1] = field end
  new[field] = { version = at, bound = bound, expires = expires, text = text }
  return at
end
local function change(field, kind, expires, call, cseq, json)
  local head = table.concat({ digits(version), digits(expires), kind, digits(cseq), call }, ' ')
  return write(field, version, kind == 'b', expires, head .. '\n' .. json)
end
local stands = {}
for i = 5, #ARGV, 6 do
  local kind, field, call, cseq = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local expires, json, old = tonumber(ARGV[i + 4]), ARGV[i + 5], have[field]
  local bound, at = old and old.bound, 0
  if kind == 'restore' then
    if not old or old.version < cseq then at = write(field, cseq, true, expires, json) end
  elseif kind == 'forget' then
    -- What was told last may not have come here.
    if bound and old.call == call and old.cseq <= cseq then at = change(field, 'g', old.expires, call, cseq, '') end
  elseif old and old.call == call and old.cseq >= cseq then
    -- The very same once more changes nothing.
    local same = old.cseq == cseq and bound == (kind == 'put')
      and (not bound or string.match(old.text, '\n(.*)$') == json)
    refused, at = refused or not same, old.version
  elseif kind == 'put' then
    if not bound then live, added = live + 1, true end
    at = change(field, 'b', expires, call, cseq, json)
  elseif bound then
    live = live - 1
    at = change(field, 'g', old.expires, call, cseq, '')
  end
  stands[#stands + 1] = digits(at)
end
if refused or (added and live > tonumber(ARGV[4])) then
  local told = { '' }
  for field, old in pairs(have) do
    told[#told + 1] = field
    told[#told + 1] = old.text
  end
  return told
end

if #order > 0 then
  local message, set, gone, last = { ARGV[3], ARGV[1] }, {}, {}, 0
  for _, field in ipairs(order) do
    message[#message + 1] = field
    message[#message + 1] = new[field].text
    set[#set + 1] = field
    set[#set + 1] = new[field].text
    have[field] = new[field]
  end
  redis.call('HSET', KEYS[1], unpack(set))
  for field, one in pairs(have) do
    if not one.bound then gone[#gone + 1] = field end
  end
  -- As many that are gone as there may be contacts: who binds and unbinds ever new ones does not fill the hash.
  table.sort(gone, function(one, other) return have[one].version > have[other].version end)
  for at = math.max(tonumber(ARGV[4]), 16) + 1, #gone do
    redis.call('HDEL', KEYS[1], gone[at])
    have[gone[at]] = nil
  end
  for _, one in pairs(have) do last = math.max(last, one.expires) end
  -- It goes when the last of them has expired, and so does its place in the index.
  redis.call('EXPIREAT', KEYS[1], digits(last + 1))
  redis.call('ZADD', KEYS[2], digits(last + 1), ARGV[1])
  redis.call('PUBLISH', ARGV[2], cjson.encode(message))
end
return stands

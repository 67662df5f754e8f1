-- A sign of life of a node.
-- KEYS: the hash of all nodes. ARGV: its name, the life that it lives and whether it drains, the channel, what the
-- others are to hear, how long ago it is to count as, in milliseconds.
-- Gives name, milliseconds since the last sign of life, and life, of each node.
local time = redis.call('TIME')
local now, told = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), {}
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now - tonumber(ARGV[5])) .. ' ' .. ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at, life = string.match(all[i + 1], '^(%d+) (%d+.*)$')
  local silent = at and math.max(now - tonumber(at), 0)
  -- After a day it will not come back.
  if not at or silent > 86400000 then
    redis.call('HDEL', KEYS[1], all[i])
  else
    told[#told + 1] = all[i]
    told[#told + 1] = string.format('%.0f', silent)
    told[#told + 1] = life
  end
end
-- Who hears nothing for a while has lost its subscription.
redis.call('PUBLISH', ARGV[3], ARGV[4])
return told

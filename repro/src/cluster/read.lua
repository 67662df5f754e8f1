-- Reads a partition, and drops from its index what has expired.
-- KEYS: its index. ARGV: how the keys of its addresses-of-record begin.
-- Gives each address-of-record, and behind it a list of fields with their values.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1])
local told = {}
for _, aor in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  told[#told + 1] = aor
  told[#told + 1] = redis.call('HGETALL', ARGV[1] .. aor)
end
return told

-- Remembers how things went. KEYS: pool, blob, challenged (string), refused (string)
-- ARGV: challenged | refused | served, memory ms, refusals that empty the bank
-- Returns how many tokens in a row were refused.
if ARGV[1] == 'served' then
  redis.call('DEL', KEYS[4])
else
  redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
end
local refused = tonumber(redis.call('GET', KEYS[4]) or '0')
if ARGV[1] == 'refused' then
  refused = refused + 1
  redis.call('SET', KEYS[4], refused, 'PX', 600000)
  if refused >= tonumber(ARGV[3]) then
    redis.call('DEL', KEYS[1], KEYS[2])
  end
end
return refused

-- The generation and the time. A writer that announced itself and never came back may have written: that counts as one.
-- KEYS: generation, pending writers    Returns generation, seconds, microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = tonumber(redis.call('GET', KEYS[1]) or '0')
if generation == 0 or #redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1) > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  generation = math.max(generation + 1, now)
  redis.call('SET', KEYS[1], string.format('%.0f', generation))
end
return { generation, tonumber(time[1]), tonumber(time[2]) }

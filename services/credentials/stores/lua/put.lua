-- Compare and swap. KEYS: record    ARGV: expected version, value, kid, instant after which it is too late
-- Returns 1 written, 0 another version is stored, -1 too late.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[4]) then
  return -1
end
local expected = tonumber(ARGV[1])
if tonumber(redis.call('HGET', KEYS[1], 'ver') or '0') ~= expected then
  return 0
end
redis.call('HSET', KEYS[1], 'ver', string.format('%.0f', expected + 1), 'kid', ARGV[3], 'blob', ARGV[2])
return 1

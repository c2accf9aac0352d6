-- Compare and delete. KEYS: record    ARGV: expected version, instant after which it is too late
-- Returns 1 removed, 0 another version is stored, -1 too late.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[2]) then
  return -1
end
if redis.call('HGET', KEYS[1], 'ver') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1

-- Take a lease. KEYS: record, lease, fence    ARGV: owner, milliseconds, version seen
-- Returns {0, fence} granted, {1, milliseconds left} busy, {2, version} stale.
local version = tonumber(redis.call('HGET', KEYS[1], 'ver') or '0')
if version > tonumber(ARGV[3]) then
  return { 2, version }
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then
  return { 1, redis.call('PTTL', KEYS[2]) }
end
-- Milliseconds rather than a count: a failover to an older copy must not grant a fence twice.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fence = math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, now)
redis.call('SET', KEYS[3], string.format('%.0f', fence))
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return { 0, fence }

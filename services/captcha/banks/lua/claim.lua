-- Gives a token to one try, or a place in the line.
-- KEYS: pool (zset digest -> end, ms), blob (hash digest -> sealed), claim (string), line (zset claim -> arrival, us),
--       places (zset claim -> lapse, ms)
-- ARGV: claim, least ms, wait 0|1, place ms, longest line
-- Returns {0, digest, sealed, end}, {1} nothing, {2} waiting, {3} full.
local kept = redis.call('GET', KEYS[3])
if kept then
  local digest, ends, sealed = string.match(kept, '^(%x+) (%d+) (.*)$')
  return {0, digest, sealed, tonumber(ends)}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local least = tonumber(ARGV[2])
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + least)) do
  redis.call('ZREM', KEYS[1], dead)
  redis.call('HDEL', KEYS[2], dead)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now)) do
  redis.call('ZREM', KEYS[5], gone)
  redis.call('ZREM', KEYS[4], gone)
end

local free = redis.call('ZCARD', KEYS[1])
local arrived = string.format('%.0f', time[1] * 1000000 + time[2])
local new = redis.call('ZADD', KEYS[4], 'NX', arrived, ARGV[1]) == 1
local mine = false
if free > 0 then
  for _, claim in ipairs(redis.call('ZRANGE', KEYS[4], 0, free - 1)) do
    mine = mine or claim == ARGV[1]
  end
end
if mine then
  local digest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  local ends = tonumber(digest[2])
  local sealed = redis.call('HGET', KEYS[2], digest[1])
  redis.call('ZREM', KEYS[1], digest[1])
  redis.call('HDEL', KEYS[2], digest[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('SET', KEYS[3], digest[1] .. ' ' .. string.format('%.0f', ends) .. ' ' .. sealed, 'PX', ends - now - least)
  return {0, digest[1], sealed, ends}
end
if ARGV[3] == '0' or (new and redis.call('ZCARD', KEYS[4]) > tonumber(ARGV[5])) then
  if new then
    redis.call('ZREM', KEYS[4], ARGV[1])
  end
  return {ARGV[3] == '0' and 1 or 3}
end
redis.call('ZADD', KEYS[5], now + ARGV[4], ARGV[1])
redis.call('PEXPIRE', KEYS[4], 600000)
redis.call('PEXPIRE', KEYS[5], 600000)
return {2}

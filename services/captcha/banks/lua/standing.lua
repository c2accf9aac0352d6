-- Tells how an account's bank is. KEYS: pool, line, places, challenged, refused, format. ARGV: least ms
-- Returns {lives in ms, waiting, ms waited by the head of the line, ms a challenge is still remembered, refused in a row,
-- the format that works or '', ms for which that is believed}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('ZREM', KEYS[3], gone)
  redis.call('ZREM', KEYS[2], gone)
end
local lives = {}
local pool = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for at = 2, #pool, 2 do
  local left = tonumber(pool[at]) - now - ARGV[1]
  if left > 0 then
    lives[#lives + 1] = math.floor(left)
  end
end
local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local waited = head and now - math.floor(tonumber(head) / 1000) or 0
return {lives, redis.call('ZCARD', KEYS[2]), math.max(0, waited), math.max(0, redis.call('PTTL', KEYS[4])),
  tonumber(redis.call('GET', KEYS[5]) or '0'), redis.call('GET', KEYS[6]) or '', math.max(0, redis.call('PTTL', KEYS[6]))}

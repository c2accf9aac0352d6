-- A writer is done: the generation rises if it wrote, and an id that was removed leaves the index.
-- KEYS: generation, pending writers, ids of the kind
-- ARGV: ticket, 1 if anything was written, id, its count if it was removed (else -1), channel
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] == '1' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local generation = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, now)
  redis.call('SET', KEYS[1], string.format('%.0f', generation))
  if redis.call('HGET', KEYS[3], ARGV[3]) == ARGV[4] then
    redis.call('HDEL', KEYS[3], ARGV[3]) -- nobody has written the id since
  end
  redis.call('PUBLISH', ARGV[5], string.format('%.0f', generation))
end
return 1

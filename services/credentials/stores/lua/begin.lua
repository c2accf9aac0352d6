-- A writer announces itself, before it touches the record. Idempotent enough: a repeated call counts the id once more.
-- KEYS: pending writers, ids of the kind    ARGV: ticket, id, milliseconds until the writer is given up
-- Returns the id's count and the instant after which the record must not be touched any more.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return { redis.call('HINCRBY', KEYS[2], ARGV[2], 1), now + math.floor(ARGV[3] / 2) }

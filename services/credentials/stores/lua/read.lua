-- Read a record, and write something behind it, so that replicas which have that have the record as it was read.
-- KEYS: record, mark    ARGV: milliseconds that the mark stays    Returns version, value, kid.
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
return redis.call('HMGET', KEYS[1], 'ver', 'blob', 'kid')

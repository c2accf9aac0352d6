-- Keep a one-time value. KEYS: value    ARGV: value, milliseconds    Returns 1 kept, 0 there is one already.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0

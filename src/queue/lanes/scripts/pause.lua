-- ARGV: lane, and 1 or 0.
if ARGV[2] == '1' then
  redis.call('SADD', prefix .. 'lanes', ARGV[1])
  redis.call('HSET', of_lane(ARGV[1], 'state'), 'paused', 1)
else
  redis.call('HDEL', of_lane(ARGV[1], 'state'), 'paused')
end
return 0

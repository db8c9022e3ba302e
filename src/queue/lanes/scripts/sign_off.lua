-- ARGV: worker. What it still holds goes to others once its lease is over.
redis.call('ZREM', prefix .. 'workers', ARGV[1])
redis.call('DEL', prefix .. 'worker:' .. ARGV[1], prefix .. 'worker:' .. ARGV[1] .. ':recent')
return 0

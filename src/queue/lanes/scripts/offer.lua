-- ARGV: lasts_ms, then for each lane: lane, facts.
local until_ms = now_ms() + tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  redis.call('ZADD', prefix .. 'offers', until_ms, ARGV[i])
  redis.call('HSET', prefix .. 'offer-facts', ARGV[i], ARGV[i + 1])
end
return 0

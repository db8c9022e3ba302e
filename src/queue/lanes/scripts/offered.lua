-- Gives { { lane, facts }… } of the offers that still hold.
local now = now_ms()
local over = redis.call('ZRANGEBYSCORE', prefix .. 'offers', '-inf', now)
for _, lane in ipairs(over) do
  redis.call('ZREM', prefix .. 'offers', lane)
  redis.call('HDEL', prefix .. 'offer-facts', lane)
end
local offers = {}
for _, lane in ipairs(redis.call('ZRANGE', prefix .. 'offers', 0, -1)) do
  offers[#offers + 1] = { lane, redis.call('HGET', prefix .. 'offer-facts', lane) or 'null' }
end
return offers

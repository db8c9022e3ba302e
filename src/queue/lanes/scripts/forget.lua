-- ARGV: lane. Outcomes that were given already still reach the database.
local lane = ARGV[1]
for _, version in ipairs(versions_of(lane)) do
  for _, kind in ipairs(KINDS) do
    redis.call('UNLINK', of_lane(lane, version .. ':' .. kind))
  end
end
for _, part in ipairs({ 'versions', 'marks', 'delayed', 'delayed-tasks', 'state', 'recent' }) do
  redis.call('UNLINK', of_lane(lane, part))
end
redis.call('SREM', prefix .. 'lanes', lane)
redis.call('ZREM', prefix .. 'offers', lane)
redis.call('HDEL', prefix .. 'offer-facts', lane)
return 0

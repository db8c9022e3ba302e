-- Gives { { { worker, card, silent_ms, running, done, failed, count, span_ms }… }, { { lane, version, waiting }… } }.
local now = now_ms()
local running, waiting = {}, {}
for _, lane in ipairs(redis.call('SMEMBERS', prefix .. 'lanes')) do
  for _, version in ipairs(versions_of(lane)) do
    local sum = 0
    for _, kind in ipairs(KINDS) do
      local key = of_lane(lane, version .. ':' .. kind)
      local here, held = standing(key)
      sum = sum + here
      if held > 0 then
        for _, consumer in ipairs(redis.call('XPENDING', key, WORKERS)[4]) do
          running[consumer[1]] = (running[consumer[1]] or 0) + tonumber(consumer[2])
        end
      end
    end
    if sum > 0 then
      waiting[#waiting + 1] = { lane, version, sum }
    end
  end
end
local workers = {}
local listed = redis.call('ZREVRANGE', prefix .. 'workers', 0, -1, 'WITHSCORES')
for i = 1, #listed, 2 do
  local worker = listed[i]
  local facts = redis.call('HMGET', prefix .. 'worker:' .. worker, 'card', 'done', 'failed')
  if facts[1] then
    local count, span = tallied(prefix .. 'worker:' .. worker .. ':recent', now)
    local silent = math.max(now - tonumber(listed[i + 1]), 0)
    workers[#workers + 1] = { worker, facts[1], silent, running[worker] or 0, tonumber(facts[2] or 0), tonumber(facts[3] or 0), count, span }
  end
end
return { workers, waiting }

-- ARGV: version, lane… (none: all of them). Gives { { lane, { is_paused, screen, new, backlog, suspect, running, delayed, marked, done,
-- failed, count, span_ms, waited_ms, too_new } }… }.
local now, version = now_ms(), tonumber(ARGV[1])
local lanes = {}
for i = 2, #ARGV do
  lanes[#lanes + 1] = ARGV[i]
end
if #lanes == 0 then
  lanes = redis.call('SMEMBERS', prefix .. 'lanes')
end
local views = {}
for _, lane in ipairs(lanes) do
  local waiting = { screen = 0, new = 0, backlog = 0, suspect = 0 }
  local running, too_new, oldest = 0, 0, now
  for _, known in ipairs(versions_of(lane)) do
    for _, kind in ipairs(KINDS) do
      local key = of_lane(lane, known .. ':' .. kind)
      local here, held, last = standing(key)
      waiting[kind] = waiting[kind] + here
      running = running + held
      if known > version then
        too_new = too_new + here
      end
      if here > 0 then
        local first = redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 1)[1]
        oldest = first and math.min(oldest, tonumber(string.match(first[1], '^%d+'))) or oldest
      end
    end
  end
  local state = redis.call('HMGET', of_lane(lane, 'state'), 'paused', 'done', 'failed')
  local count, span = tallied(of_lane(lane, 'recent'), now)
  views[#views + 1] = { lane, {
    state[1] and 1 or 0, waiting.screen, waiting.new, waiting.backlog, waiting.suspect, running,
    redis.call('ZCARD', of_lane(lane, 'delayed')), redis.call('HLEN', of_lane(lane, 'marks')),
    tonumber(state[2] or 0), tonumber(state[3] or 0), count, span, now - oldest, too_new,
  } }
end
return views

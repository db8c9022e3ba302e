-- ARGV: lease_ms, most_deaths, first_backoff_ms, longest_backoff_ms, most, remembered_ms.
-- Gives { due, put_back, { { lane, stream, id, image, worker, deaths, task }… } }: the last are to be given up.
local lease, most_deaths = tonumber(ARGV[1]), tonumber(ARGV[2])
local first_backoff, longest_backoff, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
local due, put_back, given_up = 0, 0, {}

-- Consumers that hold nothing and have been silent; they come back by themselves.
local function forget_consumers(key, group)
  if redis.call('EXISTS', key) == 0 then
    return
  end
  for _, consumer in ipairs(ask_group('XINFO', 'CONSUMERS', key, group) or {}) do
    local facts = paired(consumer)
    if facts.pending == 0 and facts.idle > lease then
      redis.call('XGROUP', 'DELCONSUMER', key, group, facts.name)
    end
  end
end

local function reap_stream(lane, stream)
  local key = of_lane(lane, stream)
  local late = ask_group('XPENDING', key, WORKERS, 'IDLE', lease, '-', '+', most)
  for _, held in ipairs(late or {}) do
    local id, worker = held[1], held[2]
    local fields = entry_at(key, id)
    if not fields then
      redis.call('XACK', key, WORKERS, id)
    else
      local image, task, deaths = fields.image or '', fields.task or '', tonumber(fields.deaths or 0) + 1
      if deaths >= most_deaths then
        given_up[#given_up + 1] = { lane, stream, id, image, worker, deaths, task }
      elseif release(lane, stream, id) then
        local suspects = string.match(stream, '^%d+') .. ':suspect'
        -- The first time its worker was switched off, most likely. From then on it may well be the picture.
        if deaths == 1 then
          put(lane, suspects, image, deaths, task)
        else
          put_aside(lane, suspects, image, deaths, task, now + math.min(first_backoff * 2 ^ (deaths - 2), longest_backoff))
        end
        put_back = put_back + 1
      end
    end
  end
  forget_consumers(key, WORKERS)
end

for _, lane in ipairs(redis.call('SMEMBERS', prefix .. 'lanes')) do
  local delayed, tasks = of_lane(lane, 'delayed'), of_lane(lane, 'delayed-tasks')
  for _, image in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, most)) do
    local stream, deaths, task = string.match(redis.call('HGET', tasks, image) or '-', '^(%S+) (%d+) (.*)$')
    redis.call('ZREM', delayed, image)
    redis.call('HDEL', tasks, image)
    if stream then
      put(lane, stream, image, deaths, task)
      due = due + 1
    else
      redis.call('HDEL', of_lane(lane, 'marks'), image)
    end
  end
  for _, version in ipairs(versions_of(lane)) do
    for _, kind in ipairs(KINDS) do
      reap_stream(lane, version .. ':' .. kind)
    end
  end
end
for _, version in ipairs(redis.call('SMEMBERS', prefix .. 'outcome-versions')) do
  forget_consumers(outcomes_key(version), SERVERS)
end
redis.call('ZREMRANGEBYSCORE', prefix .. 'workers', '-inf', now - tonumber(ARGV[6]))
return { due, put_back, given_up }

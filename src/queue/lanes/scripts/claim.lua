-- ARGV: worker, version, most, lane… Gives { { lane, stream, id, image, task }… }, all of one lane.
local worker, version, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- Lanes that are not paused, the one that was served longest ago first.
local every, lanes = {}, {}
for i = 4, #ARGV do
  local state = redis.call('HMGET', of_lane(ARGV[i], 'state'), 'paused', 'served')
  local versions = {}
  for _, known in ipairs(versions_of(ARGV[i])) do
    if known <= version then
      versions[#versions + 1] = known
    end
  end
  local lane = { name = ARGV[i], versions = versions, served = tonumber(state[2] or 0), place = i }
  every[#every + 1] = lane
  if not state[1] then
    lanes[#lanes + 1] = lane
  end
end
table.sort(lanes, function(a, b)
  if a.served ~= b.served then
    return a.served < b.served
  end
  return a.place < b.place
end)

local function is_waiting(lane, kind)
  for _, known in ipairs(lane.versions) do
    if (standing(of_lane(lane.name, known .. ':' .. kind))) > 0 then
      return true
    end
  end
  return false
end

-- Whether this worker holds a task of one of these kinds.
local function holds(kinds)
  for _, lane in ipairs(every) do
    for _, known in ipairs(lane.versions) do
      for _, kind in ipairs(kinds) do
        local held = ask_group('XPENDING', of_lane(lane.name, known .. ':' .. kind), WORKERS, '-', '+', 1, worker)
        if held and #held > 0 then
          return true
        end
      end
    end
  end
  return false
end

local given = {}

local function read(lane, kind, count)
  for _, known in ipairs(lane.versions) do
    local stream = known .. ':' .. kind
    local key = of_lane(lane.name, stream)
    if #given < count and redis.call('XLEN', key) > 0 then
      local command = { 'XREADGROUP', 'GROUP', WORKERS, worker, 'COUNT', count - #given, 'STREAMS', key, '>' }
      local reply = ask_group(unpack(command))
      if reply == nil then
        redis.call('XGROUP', 'CREATE', key, WORKERS, '0')
        reply = redis.call(unpack(command))
      end
      for _, entry in ipairs(reply and reply[1][2] or {}) do
        local fields = paired(entry[2])
        given[#given + 1] = { lane.name, stream, entry[1], fields.image or '', fields.task or '' }
      end
    end
  end
end

local function give(lane, kinds, count)
  for _, kind in ipairs(kinds) do
    read(lane, kind, count)
  end
  if #given > 0 then
    redis.call('HSET', of_lane(lane.name, 'state'), 'served', redis.call('INCR', prefix .. 'turn'))
  end
  return given
end

-- A suspect is worked on alone, so that a picture that ends its worker takes no other with it.
local has_suspects = false
for _, lane in ipairs(every) do
  for _, known in ipairs(lane.versions) do
    has_suspects = has_suspects or redis.call('XLEN', of_lane(lane.name, known .. ':suspect')) > 0
  end
end
if has_suspects and holds({ 'suspect' }) then
  return {}
end

-- What somebody waits for comes first, in whichever lane it is.
for _, lane in ipairs(lanes) do
  if is_waiting(lane, 'screen') then
    return give(lane, { 'screen', 'new', 'backlog' }, most)
  end
end
for _, lane in ipairs(lanes) do
  if has_suspects and is_waiting(lane, 'suspect') then
    if holds(KINDS) then
      return {}
    end
    return give(lane, { 'suspect' }, 1)
  end
  if is_waiting(lane, 'new') or is_waiting(lane, 'backlog') then
    return give(lane, { 'new', 'backlog' }, most)
  end
end
return {}

-- ARGV: version, then for each task: lane, image, priority, task. Gives the number of new ones.
local version = tonumber(ARGV[1])
local RANK = { screen = 1, new = 2, backlog = 3 }
local known = {}
local added = 0

local function is_held(key, id)
  return #(ask_group('XPENDING', key, WORKERS, id, id, 1) or {}) > 0
end

for i = 2, #ARGV, 4 do
  local lane, image, priority, task = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if not known[lane] then
    redis.call('SADD', prefix .. 'lanes', lane)
    redis.call('SADD', of_lane(lane, 'versions'), version)
    known[lane] = true
  end
  local stream = version .. ':' .. priority
  local mark = redis.call('HGET', of_lane(lane, 'marks'), image)
  if not mark then
    put(lane, stream, image, 0, task)
    added = added + 1
  else
    local old_version, old_priority, id = string.match(mark, '^s (%d+):(%a+) (.+)$')
    local old_rank = RANK[old_priority]
    -- One that waits moves up; one of a newer server, which is gone, is asked in words that today's workers know.
    if old_rank and (RANK[priority] < old_rank or tonumber(old_version) > version) then
      local old_key = of_lane(lane, old_version .. ':' .. old_priority)
      if not is_held(old_key, id) then
        redis.call('XDEL', old_key, id)
        put(lane, stream, image, 0, task)
      end
    end
  end
end
return added

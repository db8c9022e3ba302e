-- ARGV: version, then for each outcome: lane, stream, id, image, worker, outcome. Gives how many were taken.
local version = ARGV[1]
local key = outcomes_key(version)
local taken = 0
for i = 2, #ARGV, 6 do
  local lane, stream, id, image, worker, outcome = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local marks = of_lane(lane, 'marks')
  -- After a flush another task may have got the same id; never the same image with it.
  if redis.call('HGET', marks, image) == 's ' .. stream .. ' ' .. id and release(lane, stream, id) then
    local at = redis.call('XADD', key, '*', 'lane', lane, 'image', image, 'worker', worker, 'outcome', outcome)
    redis.call('HSET', marks, image, 'a ' .. version .. ' ' .. at)
    taken = taken + 1
  end
end
if taken > 0 then
  redis.call('SADD', prefix .. 'outcome-versions', version)
end
return taken

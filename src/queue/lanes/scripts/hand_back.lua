-- ARGV: for each task: lane, stream, id, image. They wait again, as if they had never been given out. Gives how many did.
local given_back = 0
for i = 1, #ARGV, 4 do
  local lane, stream, id, image = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if redis.call('HGET', of_lane(lane, 'marks'), image) == 's ' .. stream .. ' ' .. id then
    local fields = entry_at(of_lane(lane, stream), id)
    if fields and release(lane, stream, id) then
      put(lane, stream, image, fields.deaths or 0, fields.task or '')
      given_back = given_back + 1
    end
  end
end
return given_back

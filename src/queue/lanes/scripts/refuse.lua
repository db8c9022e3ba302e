-- ARGV: for each task that states a newer version than its stream: lane, stream, id, image, version. They wait there for newer workers.
for i = 1, #ARGV, 5 do
  local lane, stream, id, image, version = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local fields = entry_at(of_lane(lane, stream), id)
  if fields and release(lane, stream, id) then
    redis.call('SADD', of_lane(lane, 'versions'), version)
    put(lane, version .. ':' .. string.match(stream, ':(%a+)$'), image, fields.deaths or 0, fields.task or '')
  end
end
return 0

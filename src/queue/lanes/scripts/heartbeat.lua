-- ARGV: worker, card, remembered_ms, then for each task it holds: lane, stream, id. Gives the places (from 0) of those it holds no longer.
local worker, now = ARGV[1], now_ms()
local key = prefix .. 'worker:' .. worker
redis.call('ZADD', prefix .. 'workers', now, worker)
redis.call('HSET', key, 'card', ARGV[2])
redis.call('PEXPIRE', key, ARGV[3])
local lost = {}
for i = 4, #ARGV, 3 do
  -- Named by its own consumer only: whoever gets a task after its lease was lost gets it under another id.
  local kept = ask_group('XCLAIM', of_lane(ARGV[i], ARGV[i + 1]), WORKERS, worker, 0, ARGV[i + 2], 'JUSTID')
  if not kept or #kept == 0 then
    lost[#lost + 1] = (i - 4) / 3
  end
end
return lost

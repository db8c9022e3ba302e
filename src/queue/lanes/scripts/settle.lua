-- ARGV: for each outcome: version, id, lane, image, worker, verdict, stream, delay_ms, text. A verdict is
--   done, failed  the database has it
--   retry         it waits again after the delay, with `text` as its task
--   bury          nobody can read it; `text` is remembered, and the image rests for the delay
--   keep          it states a newer version, which is in `stream`: it waits there for a newer server
-- Gives how many were settled.
local now = now_ms()
local settled = 0
local sums = {}

local function count(key, recent, verdict)
  sums[key] = sums[key] or { recent = recent, done = 0, failed = 0 }
  sums[key][verdict] = sums[key][verdict] + 1
end

for i = 1, #ARGV, 9 do
  local version, id, lane, image, worker, verdict = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local stream, delay, text = ARGV[i + 6], tonumber(ARGV[i + 7]), ARGV[i + 8]
  local key = outcomes_key(version)
  local fields = verdict == 'keep' and entry_at(key, id)
  if redis.call('XACK', key, SERVERS, id) == 1 then
    redis.call('XDEL', key, id)
    settled = settled + 1
    local marks = of_lane(lane, 'marks')
    local is_ours = redis.call('HGET', marks, image) == 'a ' .. version .. ' ' .. id
    if verdict == 'keep' then
      if fields then
        local at = redis.call('XADD', outcomes_key(stream), '*', 'lane', lane, 'image', image, 'worker', worker, 'outcome', fields.outcome or '')
        redis.call('SADD', prefix .. 'outcome-versions', stream)
        if is_ours then
          redis.call('HSET', marks, image, 'a ' .. stream .. ' ' .. at)
        end
      end
    elseif verdict == 'retry' and is_ours then
      redis.call('SADD', of_lane(lane, 'versions'), string.match(stream, '^%d+'))
      put_aside(lane, stream, image, 0, text, now + delay)
    elseif verdict == 'bury' then
      bury(now, text)
      if is_ours then
        put_aside(lane, '', image, 0, nil, now + delay)
      end
    elseif is_ours then
      redis.call('HDEL', marks, image)
    end
    if verdict == 'done' or verdict == 'failed' then
      if redis.call('SISMEMBER', prefix .. 'lanes', lane) == 1 then
        count(of_lane(lane, 'state'), of_lane(lane, 'recent'), verdict)
      end
      local of_worker = prefix .. 'worker:' .. worker
      count(of_worker, of_worker .. ':recent', verdict)
    end
  end
end

local workers = prefix .. 'worker:'
for key, sum in pairs(sums) do
  local is_worker = string.sub(key, 1, #workers) == workers
  local lasts_ms = is_worker and redis.call('PTTL', key) or 0
  if not is_worker or lasts_ms > 0 then
    redis.call('HINCRBY', key, 'done', sum.done)
    redis.call('HINCRBY', key, 'failed', sum.failed)
    tally(sum.recent, now, sum.done + sum.failed)
    if is_worker then
      redis.call('PEXPIRE', sum.recent, lasts_ms)
    end
  end
end
return settled

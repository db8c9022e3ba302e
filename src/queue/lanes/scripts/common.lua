-- Put before every other script. KEYS[1] is the prefix of all keys; keys and states are described in ../mod.rs.
-- A script runs alone: nothing of anybody else comes between its commands.

local prefix = KEYS[1]
local WORKERS = 'workers'
local SERVERS = 'servers'
-- In the order in which they are given out. Suspects are tasks whose worker ended while it held them.
local KINDS = { 'screen', 'suspect', 'new', 'backlog' }
local BUCKET_MS = 10000
local BUCKETS = 30

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function of_lane(lane, part)
  return prefix .. 'lane:' .. lane .. ':' .. part
end

local function outcomes_key(version)
  return prefix .. 'outcomes:' .. version
end

-- A reply such as { 'name', 'a', 'pending', 3 } as a table.
local function paired(list)
  local pairs_of = {}
  for i = 1, #list, 2 do
    pairs_of[list[i]] = list[i + 1]
  end
  return pairs_of
end

-- Asks about a group; nil when it is not there. It is made when the first reads, since a flush may take it away at any moment.
local function ask_group(...)
  local reply = redis.pcall(...)
  if not (reply and reply.err) then
    return reply
  end
  if string.find(reply.err, 'NOGROUP', 1, true) then
    return nil
  end
  -- Fails once more, and ends the script with its error.
  return redis.call(...)
end

-- The fields of one entry of a stream; nil when it is gone.
local function entry_at(key, id)
  local entry = redis.call('XRANGE', key, id, id)[1]
  return entry and paired(entry[2])
end

-- The versions of the wire format that a lane has had tasks of, ascending.
local function versions_of(lane)
  local versions = redis.call('SMEMBERS', of_lane(lane, 'versions'))
  for i, version in ipairs(versions) do
    versions[i] = tonumber(version)
  end
  table.sort(versions)
  return versions
end

-- How many tasks of a stream wait, how many are held, and the last that was given out.
local function standing(key)
  local length = redis.call('XLEN', key)
  if length == 0 then
    return 0, 0, '0-0'
  end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local facts = paired(group)
    if facts.name == WORKERS then
      return length - facts.pending, facts.pending, facts['last-delivered-id']
    end
  end
  return length, 0, '0-0'
end

-- Puts a task at the end of a stream (`VERSION:KIND`) and remembers where it is.
local function put(lane, stream, image, deaths, task)
  local id = redis.call('XADD', of_lane(lane, stream), '*', 'image', image, 'deaths', deaths, 'task', task)
  redis.call('HSET', of_lane(lane, 'marks'), image, 's ' .. stream .. ' ' .. id)
end

-- Puts a task aside until `due`; without a task it is only its image that is not asked for before.
local function put_aside(lane, stream, image, deaths, task, due)
  redis.call('ZADD', of_lane(lane, 'delayed'), due, image)
  redis.call('HSET', of_lane(lane, 'delayed-tasks'), image, task and (stream .. ' ' .. deaths .. ' ' .. task) or '-')
  redis.call('HSET', of_lane(lane, 'marks'), image, 'd')
end

-- Takes a task from the worker that holds it. True once; false when the lease was lost, or it was answered before.
local function release(lane, stream, id)
  local key = of_lane(lane, stream)
  if redis.call('XACK', key, WORKERS, id) == 0 then
    return false
  end
  redis.call('XDEL', key, id)
  return true
end

-- Adds to what was done in the last minutes: a ring of `BUCKETS` times `BUCKET_MS`.
local function tally(key, now, count)
  local bucket = math.floor(now / BUCKET_MS)
  local place = bucket % BUCKETS
  local at, sum = string.match(redis.call('HGET', key, place) or '', '^(%d+) (%d+)$')
  if tonumber(at) == bucket then
    count = count + tonumber(sum)
  end
  redis.call('HSET', key, place, bucket .. ' ' .. count)
end

-- What the ring holds, and over how many milliseconds that came.
local function tallied(key, now)
  local bucket = math.floor(now / BUCKET_MS)
  local count, first = 0, bucket
  for _, held in ipairs(redis.call('HVALS', key)) do
    local at, sum = string.match(held, '^(%d+) (%d+)$')
    at = tonumber(at)
    if at and at > bucket - BUCKETS and at <= bucket then
      count = count + tonumber(sum)
      first = math.min(first, at)
    end
  end
  return count, math.max(now - first * BUCKET_MS, BUCKET_MS)
end

-- Remembers the newest things that nobody could read.
local function bury(now, what)
  redis.call('LPUSH', prefix .. 'buried', now .. ' ' .. what)
  redis.call('LTRIM', prefix .. 'buried', 0, 99)
end

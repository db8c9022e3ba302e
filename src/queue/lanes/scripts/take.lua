-- ARGV: consumer, version, most, lease_ms. Gives { { version, id, lane, image, worker, outcome }… }, those that another server left lying first.
local consumer, version, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local taken = {}

local function add(known, entries)
  for _, entry in ipairs(entries) do
    if entry and entry[2] then
      local fields = paired(entry[2])
      taken[#taken + 1] = { known, entry[1], fields.lane or '', fields.image or '', fields.worker or '', fields.outcome or '' }
    end
  end
end

for known = 1, version do
  local key = outcomes_key(known)
  if #taken < most and redis.call('XLEN', key) > 0 then
    local late = ask_group('XPENDING', key, SERVERS, 'IDLE', lease, '-', '+', most - #taken)
    if not late then
      redis.call('XGROUP', 'CREATE', key, SERVERS, '0')
    end
    for _, held in ipairs(late or {}) do
      add(known, redis.call('XCLAIM', key, SERVERS, consumer, lease, held[1]))
    end
    if #taken < most then
      local reply = redis.call('XREADGROUP', 'GROUP', SERVERS, consumer, 'COUNT', most - #taken, 'STREAMS', key, '>')
      add(known, reply and reply[1][2] or {})
    end
  end
end
return taken

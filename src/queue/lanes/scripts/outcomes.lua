-- ARGV: version. Gives { waiting, held by servers, of newer versions }.
local waiting, held, too_new = 0, 0, 0
for _, known in ipairs(redis.call('SMEMBERS', prefix .. 'outcome-versions')) do
  local key = outcomes_key(known)
  local length = redis.call('XLEN', key)
  if tonumber(known) > tonumber(ARGV[1]) then
    too_new = too_new + length
  else
    local pending = ask_group('XPENDING', key, SERVERS)
    local taken = pending and pending[1] or 0
    waiting = waiting + length - taken
    held = held + taken
  end
end
return { waiting, held, too_new }

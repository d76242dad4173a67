"""What Redis runs in one step. All keys carry the same hash tag, so that a cluster keeps them on one node."""

from typing import Final

_STALE: Final = """
local known = redis.call('HMGET', KEYS[1], 'epoch', 'revision', 'version')
local stale = (known[1] or '') ~= ARGV[1] or (known[2] or '0') ~= ARGV[2] or (known[3] or '') ~= ARGV[3]
"""

CHANGE: Final = f"""
-- KEYS: state, audit, then what to forget. ARGV: epoch, revision and version as the caller knows them, the same and
-- the state as they shall be, the audit entry, how many to keep, the deadline, the channel, the message.
{_STALE}
if stale then
    -- A repeated call whose first answer got lost finds its own entry.
    for _, line in ipairs(redis.call('LRANGE', KEYS[2], 0, 15)) do
        if line == ARGV[8] then return 'done' end
    end
    return 'stale'
end
-- A caller who gave up has answered that nothing was changed, so nothing must be changed later.
local time = redis.call('TIME')
if time[1] + time[2] / 1000000 > tonumber(ARGV[10]) then return 'late' end
redis.call('LPUSH', KEYS[2], ARGV[8])
-- What can't be told must not be done. Nobody hears of it before this script has ended.
local told = redis.pcall('PUBLISH', ARGV[11], ARGV[12])
if type(told) == 'table' then
    redis.call('LPOP', KEYS[2])
    return told
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', ARGV[5], 'version', ARGV[6], 'state', ARGV[7])
redis.call('LTRIM', KEYS[2], 0, ARGV[9] - 1)
for index = 3, #KEYS do redis.call('DEL', KEYS[index]) end
return 'done'
"""

HEAL: Final = f"""
-- KEYS: state, audit. ARGV: epoch, revision and version as the caller knows them, the same and the state as they
-- shall be, the channel, then all of the audit, newest first. The message is empty: read it all again.
{_STALE}
if stale then return 'stale' end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', ARGV[5], 'version', ARGV[6], 'state', ARGV[7])
redis.call('DEL', KEYS[2])
for index = 9, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[index]) end
redis.call('PUBLISH', ARGV[8], '')
return 'done'
"""

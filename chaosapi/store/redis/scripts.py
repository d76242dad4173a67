"""What Redis runs in one step. All keys carry the same hash tag, so that a cluster keeps them on one node."""

from typing import Final

CHANGE: Final = """
-- KEYS: state, audit, then what to forget. ARGV: deadline, epoch and revision as the caller knows them,
-- epoch, revision and state as they shall be, the audit entry, how many to keep, the message, its channel.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'revision')
if (known[1] or '') ~= ARGV[2] or (known[2] or '0') ~= ARGV[3] then
    -- A repeated call whose first answer got lost finds its own entry.
    for _, line in ipairs(redis.call('LRANGE', KEYS[2], 0, 15)) do
        if line == ARGV[7] then return 'done' end
    end
    return 'stale'
end
-- A caller who gave up has answered that nothing was changed, so nothing must be changed later.
local time = redis.call('TIME')
if time[1] + time[2] / 1000000 > tonumber(ARGV[1]) then return 'late' end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', ARGV[5], 'state', ARGV[6])
redis.call('LPUSH', KEYS[2], ARGV[7])
redis.call('LTRIM', KEYS[2], 0, ARGV[8] - 1)
for index = 3, #KEYS do redis.call('DEL', KEYS[index]) end
redis.call('PUBLISH', ARGV[10], ARGV[9])
return 'done'
"""

HEAL: Final = """
-- KEYS: state, audit. ARGV: epoch and revision as the caller knows them, epoch, revision and state as they shall be,
-- the message, its channel, then all of the audit, newest first.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'revision')
if (known[1] or '') ~= ARGV[1] or (known[2] or '0') ~= ARGV[2] then return 'stale' end
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'revision', ARGV[4], 'state', ARGV[5])
redis.call('DEL', KEYS[2])
for index = 8, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[index]) end
redis.call('PUBLISH', ARGV[7], ARGV[6])
return 'done'
"""

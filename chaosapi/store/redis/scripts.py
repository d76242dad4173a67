"""Lua scripts, which Redis runs atomically. All keys have the same hash tag: a cluster keeps them on one node."""

from typing import Final

_CHECK_STALE: Final = """
local known = redis.call('HMGET', KEYS[1], 'epoch', 'revision', 'version')
local stale = (known[1] or '') ~= ARGV[1] or (known[2] or '0') ~= ARGV[2] or (known[3] or '') ~= ARGV[3]
"""

_RENEW_FUNCTION: Final = """
-- Write the revision, the time and the server's run id to the lease: they expose a restored older copy.
local function renew(key, revision)
    if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
    local info = redis.pcall('INFO', 'server')
    local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
    local known = tonumber(redis.call('HGET', key, 'revision') or '') or 0
    if known > tonumber(revision) then revision = string.format('%.0f', known) end
    redis.call('HSET', key, 'revision', revision, 'seen', redis.call('TIME')[1], 'server', server)
end
"""

_TRIM_FUNCTION: Final = """
-- Keep the newest entries of the audit, up to a number of entries and of bytes.
local function trim(key, most, size)
    redis.call('LTRIM', key, 0, most - 1)
    if not size then return end
    local sum = 0
    for place, line in ipairs(redis.call('LRANGE', key, 0, -1)) do
        sum = sum + #line
        if sum > tonumber(size) and place > 1 then
            redis.call('LTRIM', key, 0, place - 2)
            return
        end
    end
end
"""

RENEW_LEASE: Final = f"""
-- KEYS: lease. ARGV: revision.
{_RENEW_FUNCTION}
renew(KEYS[1], ARGV[1])
return 'done'
"""

SWAP: Final = f"""
-- KEYS: state, audit, lease, then the tallies to delete. ARGV: the known epoch, revision and version; the new epoch,
-- revision, version and state; the audit entry, the limit of entries, the deadline, the channel, the announcement, the
-- limit of bytes, and the size of an entry from which on that limit is checked.
{_CHECK_STALE}
{_RENEW_FUNCTION}
{_TRIM_FUNCTION}
if stale then
    -- A retry of a call whose answer was lost finds its own entry.
    for _, line in ipairs(redis.call('LRANGE', KEYS[2], 0, 15)) do
        if line == ARGV[8] then return 'done' end
    end
    return 'stale'
end
-- A caller that timed out has answered that nothing was changed, so nothing must be changed later.
local time = redis.call('TIME')
if time[1] + time[2] / 1000000 > tonumber(ARGV[10]) then return 'late' end
redis.call('LPUSH', KEYS[2], ARGV[8])
-- A change that cannot be published must not be made. Subscribers receive the message after this script has ended.
local published = redis.pcall('PUBLISH', ARGV[11], ARGV[12])
if type(published) == 'table' then
    redis.call('LPOP', KEYS[2])
    return published
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', ARGV[5], 'version', ARGV[6], 'state', ARGV[7])
trim(KEYS[2], ARGV[9], #ARGV[8] > tonumber(ARGV[14]) and ARGV[13])
for index = 4, #KEYS do redis.call('DEL', KEYS[index]) end
renew(KEYS[3], ARGV[5])
return 'done'
"""

HEAL: Final = f"""
-- KEYS: state, audit, lease. ARGV: the known epoch, revision and version; the new epoch, revision, version and state;
-- the channel, then the whole audit, newest first. The empty message makes subscribers read everything again.
{_CHECK_STALE}
{_RENEW_FUNCTION}
if stale then return 'stale' end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', ARGV[5], 'version', ARGV[6], 'state', ARGV[7])
redis.call('DEL', KEYS[2])
for index = 9, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[index]) end
renew(KEYS[3], ARGV[5])
redis.call('PUBLISH', ARGV[8], '')
return 'done'
"""

RESET: Final = f"""
-- KEYS: state, audit, lease, and the keys under which unreadable state and audit are kept. ARGV: the new epoch,
-- revision, version and state; the audit entry, the channel, the TTL of unreadable content (seconds). Returns the
-- stored revision if it is not below the given one: retry with a higher one.
{_RENEW_FUNCTION}
local kind = redis.call('TYPE', KEYS[1]).ok
local known = kind == 'hash' and tonumber(redis.call('HGET', KEYS[1], 'revision') or '') or 0
if known >= tonumber(ARGV[2]) and known < 9007199254740992 then return string.format('%.0f', known) end
local function aside(from, to)
    redis.call('RENAME', from, to)
    redis.call('EXPIRE', to, ARGV[7])
end
if kind ~= 'none' then aside(KEYS[1], KEYS[4]) end
kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'none' and kind ~= 'list' then aside(KEYS[2], KEYS[5]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'revision', ARGV[2], 'version', ARGV[3], 'state', ARGV[4])
redis.call('LPUSH', KEYS[2], ARGV[5])
renew(KEYS[3], ARGV[2])
redis.pcall('PUBLISH', ARGV[6], '')
return 'done'
"""

RESTORE_AUDIT: Final = f"""
-- KEYS: audit. ARGV: the limits of entries and of bytes, then the missing entries.
{_TRIM_FUNCTION}
local lines = redis.call('LRANGE', KEYS[1], 0, -1)
local revisions = {{}}
local function revision(line) return tonumber(string.match(line, '"revision":(%d+)') or '') or 0 end
for _, line in ipairs(lines) do revisions[line] = revision(line) end
for index = 3, #ARGV do
    if not revisions[ARGV[index]] then
        revisions[ARGV[index]] = revision(ARGV[index])
        lines[#lines + 1] = ARGV[index]
    end
end
table.sort(lines, function(one, other)
    if revisions[one] ~= revisions[other] then return revisions[one] > revisions[other] end
    return one > other
end)
redis.call('DEL', KEYS[1])
for _, line in ipairs(lines) do redis.call('RPUSH', KEYS[1], line) end
trim(KEYS[1], ARGV[1], ARGV[2])
return 'done'
"""

AUDIT_PAGE: Final = """
-- KEYS: audit. ARGV: the number of entries, and the revision before which they are. Returns them, newest first.
local found, start = {}, 0
while true do
    local lines = redis.call('LRANGE', KEYS[1], start, start + 99)
    if #lines == 0 then return found end
    for _, line in ipairs(lines) do
        if #found == tonumber(ARGV[1]) then return found end
        local revision = tonumber(string.match(line, '"revision":(%d+)') or '')
        if revision and revision < tonumber(ARGV[2]) then found[#found + 1] = line end
    end
    start = start + 100
end
"""

//! The steps that are more than one command. They hold no rules: they compare a version and set.
//!
//! Each answers three elements: a code, and where it is asked for the record and its identity
//! session. Records begin with format, state, version and operation id at fixed offsets, see
//! `stored.rs`.

use ::redis::Script;

/// What a step did, as its first element says it.
pub(super) mod code {
    /// There is no such record.
    pub(in crate::redis) const ABSENT: i64 = 0;
    /// Done, now or by the same operation before.
    pub(in crate::redis) const DONE: i64 = 1;
    /// Another write came first.
    pub(in crate::redis) const CONFLICT: i64 = 2;
    /// Somebody else has the lease.
    pub(in crate::redis) const BUSY: i64 = 4;
    /// What was offered was missing.
    pub(in crate::redis) const TAKEN: i64 = 5;
}

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) open_grant: Script,
    pub(super) replace_grant: Script,
    pub(super) settle_identity: Script,
    pub(super) end_grant: Script,
    pub(super) lease_refresh: Script,
    pub(super) release_refresh: Script,
    pub(super) share_keys: Script,
    pub(super) put_device: Script,
    pub(super) replace_device: Script,
    pub(super) name_device: Script,
    pub(super) take: Script,
    pub(super) extend_client: Script,
    pub(super) replace_client: Script,
    pub(super) forget_unused_client: Script,
    pub(super) enter: Script,
    pub(super) index_grant: Script,
    pub(super) grants_of: Script,
    pub(super) change_budget: Script,
    pub(super) offer_grant: Script,
    pub(super) offer_end: Script,
    pub(super) offer_client: Script,
}

/// Milliseconds and microseconds by the server's clock.
const NOW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local micros = time[1] * 1000000 + time[2]
local function number(value) return string.format('%.0f', value) end
local function live_until(key, life)
  local left = redis.call('PTTL', key)
  if left < life then redis.call('PEXPIRE', key, number(life)) end
end
";

/// KEYS grant, identity. ARGV value, identity value, life.
const OPEN_GRANT: &str = r"
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
end
return {1, false, false}
";

/// KEYS grant, identity. ARGV expected version, next version with operation, value, life.
const REPLACE_GRANT: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored then return {0, false, false} end
local live = string.sub(stored, 1, 2) == '\1\1'
if live and string.sub(stored, 3, 18) == ARGV[2] then return {1, false, false} end
if not live or string.sub(stored, 3, 10) ~= ARGV[1] then
  return {2, stored, redis.call('GET', KEYS[2])}
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {1, false, false}
";

/// KEYS grant, identity, lease. ARGV expected version, value. An older version than the expected one
/// is what a failover has left: the value is newer all the same, and may be the only copy.
const SETTLE_IDENTITY: &str = r"
local function version(value)
  local number = 0
  for index = 1, 8 do number = number * 256 + (string.byte(value, index) or 0) end
  return number
end
local stored = redis.call('GET', KEYS[1])
if not stored then return {0, false, false} end
if string.sub(stored, 2, 2) ~= '\1' then return {3, false, false} end
local identity = redis.call('GET', KEYS[2])
if identity and version(identity) > version(ARGV[1]) then return {2, false, identity} end
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return {0, false, false} end
redis.call('SET', KEYS[2], ARGV[2], 'PX', left)
redis.call('DEL', KEYS[3])
return {1, false, false}
";

/// Leaves a trace of the end of a grant; answers whether there was none.
const TOMBSTONE: &str = r"
local function ended()
  local stored = redis.call('GET', KEYS[1])
  if not stored then return redis.call('SET', KEYS[4], '', 'NX', 'PX', ARGV[1]) end
  if string.sub(stored, 2, 2) ~= '\1' then return false end
  local tombstone = string.sub(stored, 1, 1) .. '\2' .. string.sub(stored, 3, 18)
  redis.call('SET', KEYS[1], tombstone, 'PX', ARGV[1])
  return true
end
";

/// KEYS grant, identity, lease, end of an absent one. ARGV life of the tombstone, channel, grant.
/// Announced even if it was ended before: the announcement may have been lost with the answer. If
/// it is absent that may be a loss, and somebody may offer it.
const END_GRANT: &str = r"
ended()
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return {1, false, false}
";

/// The same of an end that the server may know. Only what is news to it is announced.
const OFFER_END: &str = r"
if not ended() then return {1, false, false} end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return {5, false, false}
";

/// KEYS grant, identity, lease. ARGV expected version, holder, life, life of the record.
///
/// Fields: `v` the version, `h` the holder, `e` the end of the lease; and of each who has tried
/// this version, under `t` and its name, when it was last known to. Answers how long ago the last
/// of the others was, in milliseconds.
const LEASE_REFRESH: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored then return {0, false, false} end
if string.sub(stored, 2, 2) ~= '\1' then return {3, false, false} end
local identity = redis.call('GET', KEYS[2])
if identity and string.sub(identity, 1, 8) ~= ARGV[1] then return {2, false, identity} end
local held = redis.call('HMGET', KEYS[3], 'v', 'h', 'e')
if held[1] and held[1] ~= ARGV[1] then
  redis.call('DEL', KEYS[3])
  held = {false, false, false}
end
if held[2] and held[2] ~= ARGV[2] and tonumber(held[3]) > now then return {4, false, false} end
local fields = redis.call('HGETALL', KEYS[3])
local latest = false
for index = 1, #fields, 2 do
  local name = fields[index]
  if string.sub(name, 1, 1) == 't' and name ~= 't' .. ARGV[2] then
    local tried = tonumber(fields[index + 1])
    if not latest or tried > latest then latest = tried end
  end
end
redis.call('HSET', KEYS[3], 'v', ARGV[1], 'h', ARGV[2], 'e', number(now + tonumber(ARGV[3])),
  't' .. ARGV[2], number(now))
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {1, latest and number(math.max(0, now - latest)), false}
";

/// KEYS lease. ARGV holder.
const RELEASE_REFRESH: &str = r"
if redis.call('HGET', KEYS[1], 'h') == ARGV[1] then redis.call('HDEL', KEYS[1], 'h', 'e') end
return {1, false, false}
";

/// KEYS keys. ARGV new value, value that it replaces (empty: none). Answers what stands there now.
const SHARE_KEYS: &str = r"
local stood = redis.call('GET', KEYS[1]) or ''
if stood ~= ARGV[2] then return {2, stood, false} end
redis.call('SET', KEYS[1], ARGV[1])
return {1, ARGV[1], false}
";

/// KEYS device. ARGV value, life.
const PUT_DEVICE: &str = r"
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return {1, false, false}
";

/// KEYS device, grant, identity. ARGV expected version, next version with operation, value; and
/// where it is an approval grant value, identity value, their life.
const REPLACE_DEVICE: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored then return {0, false, false} end
if string.sub(stored, 3, 18) == ARGV[2] then return {1, false, false} end
if string.sub(stored, 1, 1) ~= '\1' or string.sub(stored, 3, 10) ~= ARGV[1] then
  return {2, stored, false}
end
redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
if ARGV[4] and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[6])
  redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6])
end
return {1, false, false}
";

/// KEYS user code. ARGV grant, life.
const NAME_DEVICE: &str = r"
local named = redis.call('GET', KEYS[1])
if named then
  if named == ARGV[1] then return {1, false, false} end
  return {0, false, false}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, false, false}
";

/// KEYS record, memo. ARGV operation, life of the memo.
const TAKE: &str = r"
local value = redis.call('GET', KEYS[1])
if value then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[2], ARGV[1] .. value, 'PX', ARGV[2])
  return {1, value, false}
end
local memo = redis.call('GET', KEYS[2])
local length = string.len(ARGV[1])
if memo and string.sub(memo, 1, length) == ARGV[1] then
  return {1, string.sub(memo, length + 1), false}
end
return {0, false, false}
";

/// KEYS client. ARGV life. Answers the registration as it is now.
const EXTEND_CLIENT: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored or string.sub(stored, 2, 2) == '\2' then return {0, false, false} end
local used = string.sub(stored, 1, 1) .. '\1' .. string.sub(stored, 3)
redis.call('SET', KEYS[1], used, 'KEEPTTL')
live_until(KEYS[1], tonumber(ARGV[1]))
return {1, used, false}
";

/// KEYS client. ARGV registration.
const REPLACE_CLIENT: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored or string.sub(stored, 2, 2) == '\2' then return {0, false, false} end
redis.call('SET', KEYS[1], string.sub(stored, 1, 2) .. ARGV[1], 'KEEPTTL')
return {1, false, false}
";

/// KEYS client.
const FORGET_UNUSED_CLIENT: &str = r"
local stored = redis.call('GET', KEYS[1])
if stored and string.sub(stored, 2, 2) == '\0' then redis.call('DEL', KEYS[1]) end
return {1, false, false}
";

/// KEYS list. ARGV name, life, bound, order: `made` or `end`. Answers the names that have to go.
const ENTER: &str = r"
local life = tonumber(ARGV[2])
if ARGV[4] == 'end' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', number(now))
  redis.call('ZADD', KEYS[1], number(now + life), ARGV[1])
else
  redis.call('ZADD', KEYS[1], 'NX', number(micros), ARGV[1])
end
live_until(KEYS[1], life)
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if surplus <= 0 then return {} end
local gone = {}
local popped = redis.call('ZPOPMIN', KEYS[1], surplus)
for index = 1, #popped, 2 do gone[#gone + 1] = popped[index] end
return gone
";

/// KEYS holder. ARGV grant, life.
const INDEX_GRANT: &str = r"
local life = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', number(now))
redis.call('ZADD', KEYS[1], number(now + life), ARGV[1])
live_until(KEYS[1], life)
return {1, false, false}
";

/// KEYS holder.
const GRANTS_OF: &str = r"
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. number(now), '+inf')
";

/// KEYS budget. ARGV operation, microseconds that a unit takes to come back, units at once, units
/// (less than none: given back). Answers a code and the microseconds that are owed. The value is the
/// last operation and when nothing is owed any more.
const CHANGE_BUDGET: &str = r"
local each, most, units = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local stored, whole = redis.call('GET', KEYS[1]), micros
if stored then
  whole = math.max(micros, tonumber(string.sub(stored, 9)))
  if string.sub(stored, 1, 8) == ARGV[1] then return {1, whole - micros} end
end
local owed = whole - micros + each * units
if units >= 0 and owed > each * most then return {2, whole - micros} end
if units == 0 then return {1, math.max(0, owed)} end
if owed <= 0 then
  redis.call('DEL', KEYS[1])
  return {1, 0}
end
redis.call('SET', KEYS[1], ARGV[1] .. number(micros + owed), 'PX', number(math.ceil(owed / 1000)))
return {1, owed}
";

/// KEYS grant, identity, device, end of an absent one. ARGV grant value, life, identity value,
/// device value, life; empty where there is none.
///
/// Of each record the higher version stays: the one there where they are equal. What was ended stays
/// so. An identity session without its grant is of no use.
const OFFER_GRANT: &str = r"
local function version(value, from)
  local number = 0
  for index = from, from + 7 do number = number * 256 + (string.byte(value, index) or 0) end
  return number
end
local function is_newer(value, stored, from)
  return value ~= '' and (not stored or version(value, from) > version(stored, from))
end
local stored = redis.call('GET', KEYS[1])
if stored and string.sub(stored, 2, 2) ~= '\1' then return {3, false, false} end
if not stored and redis.call('EXISTS', KEYS[4]) == 1 then return {3, false, false} end
local answer = 1
if is_newer(ARGV[1], stored, 3) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  stored = ARGV[1]
  answer = 5
end
if not stored then return {0, false, false} end
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return {0, false, false} end
if is_newer(ARGV[3], redis.call('GET', KEYS[2]), 1) then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', left)
  answer = 5
end
if is_newer(ARGV[4], redis.call('GET', KEYS[3]), 3) then
  redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
  answer = 5
end
return {answer, false, false}
";

/// KEYS client. ARGV registration, life. One that was forgotten stays so; one that led to a login
/// has done so.
const OFFER_CLIENT: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {5, false, false}
end
if string.sub(stored, 2, 2) == '\2' then return {3, false, false} end
if string.sub(ARGV[1], 2, 2) == '\1' then
  redis.call('SET', KEYS[1], string.sub(stored, 1, 1) .. '\1' .. string.sub(stored, 3), 'KEEPTTL')
  live_until(KEYS[1], tonumber(ARGV[2]))
end
return {1, false, false}
";

// === impl Scripts ===

impl Scripts {
    pub(super) fn new() -> Self {
        let timed = |body: &str| Script::new(&format!("{NOW}{body}"));
        Self {
            open_grant: Script::new(OPEN_GRANT),
            replace_grant: Script::new(REPLACE_GRANT),
            settle_identity: Script::new(SETTLE_IDENTITY),
            end_grant: Script::new(&format!("{TOMBSTONE}{END_GRANT}")),
            lease_refresh: timed(LEASE_REFRESH),
            release_refresh: Script::new(RELEASE_REFRESH),
            share_keys: Script::new(SHARE_KEYS),
            put_device: Script::new(PUT_DEVICE),
            replace_device: Script::new(REPLACE_DEVICE),
            name_device: Script::new(NAME_DEVICE),
            take: Script::new(TAKE),
            extend_client: timed(EXTEND_CLIENT),
            replace_client: Script::new(REPLACE_CLIENT),
            forget_unused_client: Script::new(FORGET_UNUSED_CLIENT),
            enter: timed(ENTER),
            index_grant: timed(INDEX_GRANT),
            grants_of: timed(GRANTS_OF),
            change_budget: timed(CHANGE_BUDGET),
            offer_grant: Script::new(OFFER_GRANT),
            offer_end: Script::new(&format!("{TOMBSTONE}{OFFER_END}")),
            offer_client: timed(OFFER_CLIENT),
        }
    }
}

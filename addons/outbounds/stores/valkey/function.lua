#!lua name=outbounds_@DIGEST@
-- Every limit of a request in one step, on the server (Redis Functions, Redis 7 and Valkey).
--
-- A function runs alone and to its end, so that what it reads and what it writes are one step. It
-- is the effects that are replicated, not the call, so it may go by the server's clock.
--
-- State under a key, by kind:
--   RATE   two doubles, µs: how far ahead of `last` the theoretical arrival time lies, and `last`.
--          Not one Unix time: at 1.8e15 µs a double is 0.25 µs wide, more than an octet costs.
--   QUOTA  a decimal count; the key carries the period's start.
--   HELD   a hash, instance to count. An instance counts while its heartbeat is in the sorted set
--          of heartbeats (keys[1]) and not older than LEASE.
--   visit  until when it is remembered, µs.
-- A key expires when its state says the same as none. All times are µs, and expiry ms.

local RATE, QUOTA, HELD = 0, 1, 2
local TOLERANCE = 1         -- µs, core.limits.TOLERANCE
local LEASE = 30 * 1000000  -- µs without a heartbeat, after which an instance is dead
local HASH_LIFE = 3600000   -- ms; a living instance renews it (Held.slice)
local MOST = 512            -- rows of one call: what bounds how long the server stands still
local TAKEN, EXCEEDED, UNKNOWN, STALE = 0, 1, 2, 3

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function ceil_ms(us) return string.format('%.0f', math.ceil(us / 1000)) end

local function alive(beats, instance, now)
  local beat = redis.call('ZSCORE', beats, instance)
  return beat and tonumber(beat) > now - LEASE
end

local function ahead_of(value, now)
  if not value then return 0 end
  local ahead, last = struct.unpack('<dd', value)
  return math.max(0, ahead - math.max(0, now - last))
end

local function write_rate(key, ahead, now)
  if ahead <= 0 then
    redis.call('UNLINK', key)
  else
    redis.call('SET', key, struct.pack('<dd', ahead, now), 'PXAT', ceil_ms(now + ahead))
  end
end

local function write_quota(key, count, till)
  if count <= 0 then
    redis.call('UNLINK', key)
  else
    redis.call('SET', key, string.format('%.0f', count), 'PXAT', ceil_ms(till))
  end
end

-- What all living instances hold; the shares of dead ones are dropped on the way.
local function held(key, beats, now)
  local pairs_of = redis.call('HGETALL', key)
  if #pairs_of == 0 then return 0 end
  local names, sum = {}, 0
  for i = 1, #pairs_of, 2 do names[#names + 1] = pairs_of[i] end
  local scores = redis.call('ZMSCORE', beats, unpack(names))
  for i, name in ipairs(names) do
    if scores[i] and tonumber(scores[i]) > now - LEASE then
      sum = sum + tonumber(pairs_of[2 * i])
    else
      redis.call('HDEL', key, name)
    end
  end
  return sum
end

local function hold(key, instance, amount)
  if redis.call('HINCRBY', key, instance, string.format('%.0f', amount)) <= 0 then
    redis.call('HDEL', key, instance)
  end
  redis.call('PEXPIRE', key, HASH_LIFE)
end

-- {remaining, reset in µs} of a limit, `level` being its state.
local function state(kind, level, now, a, b)
  if kind == RATE then
    local left = math.floor((b * a - level + TOLERANCE) / a)
    return math.min(b, math.max(0, left)), level
  elseif kind == QUOTA then
    return math.max(0, a - level), math.max(0, b - now)
  end
  return math.max(0, a - level), 0
end

-- keys: heartbeats, one for each charge, then the markers.
-- args: the instance, and msgpack [report, charges]; a charge is
--   [kind, cost, need, a, b, marker, life]: of a RATE a is µs for one, b the burst; of a QUOTA the
--   count and the period's end; of HELD the count. `marker` is the index of its key or 0, `life`
--   µs for how long a visit is remembered; with a QUOTA, it is to the end of the period.
-- Returns {now, TAKEN, instances, remaining, reset, …} (the states if `report`), {now, EXCEEDED,
-- instances, index, wait, remaining, reset, …} for each that is over its edge (wait -1: nobody
-- knows), `instances` being how many are alive. {now, UNKNOWN}: the
-- instance has no heartbeat; {now, STALE}: a period is over. Neither has charged anything. So what
-- was sent before an outage, and is read only after it, is void: its sender has a new name by then.
local function take(keys, args)
  local now = clock()
  local instance, ask = args[1], cmsgpack.unpack(args[2])
  local report, charges = ask[1], ask[2]
  local beats = keys[1]
  if not alive(beats, instance, now) then return {now, UNKNOWN} end
  local living = redis.call('ZCARD', beats)
  if #charges == 0 then return {now, TAKEN, living} end
  if #keys > MOST then return redis.error_reply('LIMIT too many charges in one call') end
  local values = redis.call('MGET', unpack(keys, 2))
  local level, changed = {}, {}   -- by key: the same limit may be charged twice in one request
  local over, states = {now, EXCEEDED, living}, {now, TAKEN, living}
  for i, charge in ipairs(charges) do
    local kind, cost, need, a, b, marker = unpack(charge, 1, 6)
    local key, wait = keys[i + 1], nil
    local visited = marker > 0 and tonumber(values[marker - 1] or 0) > now   -- no new host, however many there were
    if visited then cost, need = 0, 0 end
    local much = math.max(cost, need)
    if kind == RATE then
      local ahead = level[key] or ahead_of(values[i], now)
      level[key] = ahead
      local late = ahead + much * a - b * a
      if late > TOLERANCE and not visited then wait = late end
    elseif kind == QUOTA then
      local count = level[key] or tonumber(values[i] or 0)
      level[key] = count
      if b <= now then return {now, STALE} end
      if count + much > a and not visited then wait = b - now end
    else
      local count = level[key] or held(key, beats, now)
      level[key] = count
      if count + much > a then wait = -1 end
    end
    if wait then
      local left, reset = state(kind, level[key], now, a, b)
      local n = #over
      over[n + 1], over[n + 2] = i, wait < 0 and -1 or math.ceil(wait)
      over[n + 3], over[n + 4] = left, math.ceil(reset)
    else
      if cost > 0 then
        level[key] = level[key] + (kind == RATE and cost * a or cost)
        changed[#changed + 1] = i
      end
      if report then
        local left, reset = state(kind, level[key], now, a, b)
        local n = #states
        states[n + 1], states[n + 2] = left, math.ceil(reset)
      end
    end
  end
  if #over > 3 then return over end
  local written = {}
  for _, i in ipairs(changed) do
    local kind, cost, b, key = charges[i][1], charges[i][2], charges[i][5], keys[i + 1]
    if kind == HELD then
      hold(key, instance, cost)
    elseif not written[key] then
      written[key] = true
      if kind == RATE then write_rate(key, level[key], now) else write_quota(key, level[key], b) end
    end
  end
  for _, charge in ipairs(charges) do
    local marker, life = charge[6], charge[7]
    if marker > 0 then
      local till = charge[1] == QUOTA and charge[5] or now + life
      redis.call('SET', keys[marker], string.format('%.0f', till), 'PXAT', ceil_ms(till))
    end
  end
  return states
end

-- What cannot be refused. keys: heartbeats, then one for each row.
-- args: the instance, and msgpack rows; a row is [op, kind, amount, a, b]. DEBIT charges, GIVE takes
-- back what was charged (never below nothing) or held, RAISE lets nothing conform for `amount` µs,
-- TOUCH renews what is held. Returns {now, TAKEN, wait, remaining, reset, …} for each row (wait 0:
-- not over its edge), {now, UNKNOWN} or {now, STALE}.
local DEBIT, GIVE, RAISE, TOUCH = 0, 1, 2, 3
local function post(keys, args)
  local now = clock()
  local instance, rows = args[1], cmsgpack.unpack(args[2])
  if not alive(keys[1], instance, now) then return {now, UNKNOWN} end
  if #rows > MOST then return redis.error_reply('LIMIT too many rows in one call') end
  for _, row in ipairs(rows) do
    if row[2] == QUOTA and row[5] <= now then return {now, STALE} end
  end
  local said = {now, TAKEN}
  for i, row in ipairs(rows) do
    local op, kind, amount, a, b = unpack(row)
    local key, wait, left, reset = keys[i + 1], 0, 0, 0
    if op == TOUCH then
      redis.call('PEXPIRE', key, HASH_LIFE)
    elseif kind == HELD then
      hold(key, instance, amount)   -- DEBIT, up or down
    elseif kind == RATE then
      local ahead = ahead_of(redis.call('GET', key), now)
      local after = ahead + amount * a
      if op == GIVE then after = ahead - amount * a end
      if op == RAISE then after = math.max(ahead, amount) end
      if after ~= ahead then write_rate(key, after, now) end
      wait = math.max(0, after - b * a)
      if wait <= TOLERANCE then wait = 0 end
      left, reset = state(kind, after, now, a, b)
    else
      local count = tonumber(redis.call('GET', key) or 0)
      count = count + (op == GIVE and -amount or amount)
      write_quota(key, count, b)
      if count > a then wait = b - now end
      left, reset = state(kind, count, now, a, b)
    end
    local n = #said
    said[n + 1], said[n + 2], said[n + 3] = math.ceil(wait), left, math.ceil(reset)
  end
  return said
end

-- keys: heartbeats. args: instance, and the name it had before or ''. Returns {now, living
-- instances, whether it was known}. What was held under the former name is void.
local function beat(keys, args)
  local now = clock()
  local beats = keys[1]
  local known = redis.call('ZSCORE', beats, args[1]) and 1 or 0
  if args[2] ~= '' then redis.call('ZREM', beats, args[2]) end
  redis.call('ZREMRANGEBYSCORE', beats, '-inf', string.format('%.0f', now - LEASE))
  redis.call('ZADD', beats, string.format('%.0f', now), args[1])
  redis.call('PEXPIRE', beats, HASH_LIFE)
  return {now, redis.call('ZCARD', beats), known}
end

redis.register_function('outbounds_take_@DIGEST@', take)
-- these two make room, or record what has happened anyway: not to be kept out by a full server
redis.register_function{function_name='outbounds_post_@DIGEST@', callback=post,
                        flags={'allow-oom'}}
redis.register_function{function_name='outbounds_beat_@DIGEST@', callback=beat,
                        flags={'allow-oom'}}

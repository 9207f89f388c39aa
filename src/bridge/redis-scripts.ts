import { createHash } from 'node:crypto'
import { hasLostScripts } from './redis-fault.ts'

/** A Lua script, run by its digest. */
export interface Script {
  lua: string
  sha: string
}

export function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}

/** Rooms that begin in one epoch: with more, its hash would take megabytes, and long to delete. The next begin in another. */
const BEGINNINGS_ROOMS = 10_000

/**
 * The server's own id: new after a restart and after a failover, that is whenever the newest messages may be lost.
 * A position that another server has given must not be taken up again, or a hole could pass for a recovery.
 */
export const serverId = `
local function server_id()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end
-- A key of another type is nobody's history: it counts as missing, and is replaced. Other errors are raised.
local function lenient(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then return nil end
  return redis.call(...)
end
-- Rooms in which nothing was said yet share an epoch, so that a join leaves nothing behind. It is gone before any
-- position that was begun in it, and it knows the rooms that were: none begins twice in one epoch.
local function beginnings(key, epoch, ttl)
  local known = lenient('HMGET', key, 'epoch', 'server', 'rooms') or {}
  if known[1] and known[2] == server_id() and (tonumber(known[3]) or 0) < ${BEGINNINGS_ROOMS} then return known[1] end
  redis.call('DEL', key)
  redis.call('HSET', key, 'epoch', epoch, 'server', server_id(), 'rooms', 0)
  redis.call('PEXPIRE', key, ttl)
  return epoch
end
local function has_begun(key, position)
  return redis.call('HEXISTS', key, position) == 1
end
local function mark_begun(key, position)
  if has_begun(key, position) then return end
  local rooms = tonumber(redis.call('HMGET', key, 'rooms')[1]) or 0
  redis.call('HSET', key, position, 1, 'rooms', rooms + 1)
end
local function begin(messages, position, key, fresh, ttl, beginnings_ttl)
  local epoch = beginnings(key, fresh .. '-', beginnings_ttl)
  if has_begun(key, position) or redis.call('EXISTS', messages, position) > 0 then epoch = fresh end
  mark_begun(key, position)
  redis.call('DEL', messages, position)
  redis.call('HSET', position, 'epoch', epoch, 'offset', 0, 'bytes', 0, 'server', server_id())
  redis.call('PEXPIRE', position, ttl)
  return epoch
end
`

/** The reply's error when a publish reaches Redis too late to be of use: the node has delivered it locally by then. */
export const LATE = 'ROOMCAST_LATE'

/**
 * Takes messages of one room, or to everybody, in order: dedupe by key, offsets, history and publish in one step.
 * KEYS: messages, position, beginnings, then the marks of idempotent publishes.
 * ARGV: channel, header, deadline (ms of this server's clock), size, ttl, position ttl, bytes, next epoch,
 * ttl of a mark, publish command, ttl of beginnings; then of each message its head and the index of its mark in KEYS (0:
 * no key).
 * Replies {epoch, offset of the first that is new; '-' without either}, and of each repeat its index (from 0) and its
 * first offset.
 */
export const publishScript = script(
  `${serverId}
local messages, position = KEYS[1], KEYS[2]
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[3]) then return redis.error_reply('${LATE} too late') end
local is_new = false
for i = 13, #ARGV, 2 do
  local mark = KEYS[tonumber(ARGV[i])]
  if not mark or not lenient('GET', mark) then
    is_new = true
    break
  end
end
local keeps = is_new and ARGV[4] ~= '0'
local epoch, offset, bytes = '-', 0, 0
if keeps then
  local known = lenient('HMGET', position, 'epoch', 'server', 'offset', 'bytes') or {}
  epoch = known[1]
  if epoch and known[2] == server_id() then
    offset, bytes = tonumber(known[3]), tonumber(known[4])
  else
    epoch = begin(messages, position, KEYS[3], ARGV[8], ARGV[6], ARGV[11])
  end
end
-- Nodes that do keep history must not take this for a room in which nothing was said.
if is_new and not keeps and messages ~= position then
  redis.call('DEL', messages, position)
  local shared = lenient('HMGET', KEYS[3], 'epoch')
  if shared and shared[1] then mark_begun(KEYS[3], position) end
end
local first_new = keeps and offset + 1 or '-'
local reply, texts, repeats, added, marks = {epoch, first_new}, {}, {}, {}, {}
for i = 12, #ARGV, 2 do
  local mark = KEYS[tonumber(ARGV[i + 1])]
  local first = mark and (marks[mark] or lenient('GET', mark))
  local text = ARGV[i] .. '}'
  if first then
    repeats[#repeats + 1] = (i - 12) / 2
    reply[#reply + 1] = (i - 12) / 2
    reply[#reply + 1] = first
  else
    if keeps then
      offset = offset + 1
      text = ARGV[i] .. ',"offset":' .. offset .. '}'
      added[#added + 1] = text
      bytes = bytes + #text
    end
    if mark then marks[mark] = keeps and tostring(offset) or '-' end
  end
  texts[#texts + 1] = text
end
if not is_new then return reply end
if keeps then
  local length = lenient('RPUSH', messages, unpack(added))
  if not length then
    redis.call('DEL', messages)
    length = redis.call('RPUSH', messages, unpack(added))
  end
  if length == #added then
    bytes = 0
    for _, text in ipairs(added) do bytes = bytes + #text end
  end
  while length > tonumber(ARGV[4]) or bytes > tonumber(ARGV[7]) do
    local oldest = redis.call('LPOP', messages)
    if not oldest then break end
    bytes = bytes - #oldest
    length = length - 1
  end
  redis.call('HSET', position, 'offset', offset, 'bytes', bytes)
  redis.call('PEXPIRE', messages, ARGV[5])
  redis.call('PEXPIRE', position, ARGV[6])
end
for mark, first in pairs(marks) do redis.call('SET', mark, first, 'PX', ARGV[9]) end
local known = #repeats > 0 and table.concat(repeats, ',') or '-'
local header = table.concat({ARGV[2], epoch, first_new, known}, ' ')
redis.call(ARGV[10], ARGV[1], header .. '\\n' .. table.concat(texts))
return reply
`,
)

/**
 * Passes messages on, of which nothing is kept: it writes nothing. KEYS: one that never is there, in the channel's slot:
 * a replica refuses to delete it, and so does not tell the few that listen to it. ARGV: channel, payload, deadline,
 * publish command. Replies as the publish script does.
 */
export const relayScript = script(
  `local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[3]) then return redis.error_reply('${LATE} too late') end
redis.call('DEL', KEYS[1])
redis.call(ARGV[4], ARGV[1], ARGV[2])
return {'-', '-'}
`,
)

/**
 * Reads a room's history. KEYS: messages, position, beginnings.
 * ARGV: since epoch ('' for none), since offset, limit, next epoch, position ttl, ttl of beginnings.
 * Replies {epoch, offset, 1 if complete, message…}.
 */
export const replayScript = script(
  `${serverId}
local messages, position = KEYS[1], KEYS[2]
local known = lenient('HMGET', position, 'epoch', 'offset', 'server') or {}
local epoch, offset = known[1], tonumber(known[2])
local length = lenient('LLEN', messages)
if not epoch or known[3] ~= server_id() or not length then
  local empty = beginnings(KEYS[3], ARGV[4] .. '-', ARGV[6])
  if not has_begun(KEYS[3], position) and redis.call('EXISTS', messages, position) == 0 then
    return {empty, 0, ARGV[1] == empty and tonumber(ARGV[2]) == 0 and 1 or 0}
  end
  epoch, offset, length = begin(messages, position, KEYS[3], ARGV[4], ARGV[5], ARGV[6]), 0, 0
end
redis.call('PEXPIRE', position, ARGV[5])
local first = offset - length
local since, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {epoch, offset, 0}
local from, to
if ARGV[1] == '' then
  if limit == 0 then return reply end
  from, to = -limit, -1
else
  if ARGV[1] ~= epoch or since > offset or since < first then return reply end
  if offset - since <= limit then reply[3] = 1 end
  if limit == 0 then return reply end
  from, to = since - first, since - first + limit - 1
end
for _, text in ipairs(redis.call('LRANGE', messages, from, to)) do reply[#reply + 1] = text end
return reply
`,
)

/** Runs a command, and returns why it could not be run, with its name: Redis does not say that of a script's. */
const attempt = `
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) ~= 'table' or not reply.err then return end
  local lower = string.lower(reply.err)
  if string.find(lower, 'unknown redis command', 1, true) then return 'ERR unknown command ' .. name end
  if string.find(lower, "can't run this command", 1, true) then return 'NOPERM may not run ' .. name end
  return reply.err
end
`

/**
 * The heartbeat: proves that the server takes writes, tells the other nodes of this one, and gives the server's clock.
 * KEYS: heartbeat. ARGV: channel, announcement, ttl, publish command. Replies the time in milliseconds, as text.
 */
export const heartbeatScript = script(
  `${attempt}
local fault = try('SET', KEYS[1], '1', 'PX', ARGV[3]) or try(ARGV[4], ARGV[1], ARGV[2])
if fault then return redis.error_reply(fault) end
local time = redis.call('TIME')
return string.format('%.0f', time[1] * 1000 + time[2] / 1000)
`,
)

/**
 * Tries on a key of its own, which is gone afterwards, all that the others need: a server where they would fail half-way
 * is not used. KEYS: check.
 */
export const checkScript = script(
  `${attempt}local key = KEYS[1]
local calls = {
  {'TIME'}, {'INFO', 'replication'}, {'SET', key, '1', 'PX', 1000}, {'GET', key}, {'EXISTS', key}, {'PEXPIRE', key, 1000},
  {'DEL', key}, {'HSET', key, 'a', '1'}, {'HMGET', key, 'a'}, {'HEXISTS', key, 'a'}, {'DEL', key},
  {'RPUSH', key, 'a', 'b'}, {'LLEN', key}, {'LRANGE', key, 0, -1}, {'LPOP', key}, {'DEL', key},
  {'HSET', key, 'a', '1'}, {'HLEN', key}, {'HDEL', key, 'a'}, {'ZADD', key, 1, 'a'}, {'ZCARD', key},
  {'ZRANGE', key, 0, -1}, {'ZRANGEBYSCORE', key, 0, 1}, {'ZREM', key, 'a'}, {'DEL', key},
}
local fault
for _, call in ipairs(calls) do fault = fault or try(unpack(call)) end
redis.pcall('DEL', key)
if fault then return redis.error_reply(fault) end
return 'OK'
`,
)

export const scripts = [publishScript, relayScript, replayScript, heartbeatScript, checkScript]

interface ScriptServer {
  load(scripts: readonly Script[]): Promise<void>
}

/** Runs a script, and again if the server does not have it: nothing was carried out then. */
export async function withScripts<T>(
  client: ScriptServer,
  run: () => Promise<T>,
  needed: readonly Script[] = scripts,
): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!hasLostScripts(error as Error)) throw error
    await client.load(needed)
    return run()
  }
}

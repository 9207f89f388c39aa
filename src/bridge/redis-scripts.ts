import { createHash } from 'node:crypto'

/** A Lua script, run by its digest. */
export interface Script {
  lua: string
  sha: string
  keys: number
}

function script(keys: number, lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex'), keys }
}

/**
 * The server's own id: new after a restart and after a failover, that is whenever the newest messages may be lost.
 * A position that another server has given must not be taken up again, or a hole could pass for a recovery.
 */
const serverId = `
local function server_id()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end
local function begin(messages, position, epoch, ttl)
  redis.call('DEL', messages, position)
  redis.call('HSET', position, 'epoch', epoch, 'offset', 0, 'bytes', 0, 'server', server_id())
  redis.call('PEXPIRE', position, ttl)
end
`

/** The reply's error when a publish reaches Redis too late to be of use: the node has delivered it locally by then. */
export const LATE = 'ROOMCAST_LATE'

/**
 * Takes a message: dedupe by key, offset, history and publish in one step.
 * KEYS: messages, position, mark of the idempotent publish.
 * ARGV: channel, header, head, deadline (ms of this server's clock), size, ttl, position ttl, bytes, next epoch,
 * ttl of the mark (0: no key), publish command. Replies {offset or '-', 1 if a repeat}.
 */
export const publishScript = script(
  3,
  `${serverId}
local messages, position, mark = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[4]) then return redis.error_reply('${LATE} too late') end
if ARGV[10] ~= '0' then
  local first = redis.call('GET', mark)
  if first then return {first, 1} end
end
local offset, epoch, tail = '-', '-', '}'
if ARGV[5] ~= '0' then
  local known = redis.call('HMGET', position, 'epoch', 'server')
  epoch = known[1]
  if not epoch or known[2] ~= server_id() then
    epoch = ARGV[9]
    begin(messages, position, epoch, ARGV[7])
  end
  offset = redis.call('HINCRBY', position, 'offset', 1)
  tail = ',"offset":' .. offset .. '}'
  local text = ARGV[3] .. tail
  local length = redis.call('RPUSH', messages, text)
  local bytes = #text
  if length > 1 then bytes = bytes + redis.call('HGET', position, 'bytes') end
  while length > tonumber(ARGV[5]) or bytes > tonumber(ARGV[8]) do
    local oldest = redis.call('LPOP', messages)
    if not oldest then break end
    bytes = bytes - #oldest
    length = length - 1
  end
  redis.call('HSET', position, 'bytes', bytes)
  redis.call('PEXPIRE', messages, ARGV[6])
  redis.call('PEXPIRE', position, ARGV[7])
end
if ARGV[10] ~= '0' then redis.call('SET', mark, offset, 'PX', ARGV[10]) end
redis.call(ARGV[11], ARGV[1], ARGV[2] .. ' ' .. offset .. ' ' .. epoch .. '\\n' .. ARGV[3] .. tail)
return {offset, 0}
`,
)

/**
 * Reads a room's history, and begins it if need be. KEYS: messages, position.
 * ARGV: since epoch ('' for none), since offset, limit, next epoch, position ttl.
 * Replies {epoch, offset, 1 if complete, message…}.
 */
export const replayScript = script(
  2,
  `${serverId}
local messages, position = KEYS[1], KEYS[2]
local known = redis.call('HMGET', position, 'epoch', 'offset', 'server')
local epoch, offset = known[1], tonumber(known[2])
if not epoch or known[3] ~= server_id() then
  epoch, offset = ARGV[4], 0
  begin(messages, position, epoch, ARGV[5])
end
redis.call('PEXPIRE', position, ARGV[5])
local first = offset - redis.call('LLEN', messages)
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

/**
 * The heartbeat: proves that the server takes writes, tells the other nodes of this one, and gives the server's clock.
 * KEYS: heartbeat. ARGV: channel, announcement, ttl, publish command. Replies the time in milliseconds, as text.
 */
export const heartbeatScript = script(
  1,
  `
redis.call('SET', KEYS[1], '1', 'PX', ARGV[3])
redis.call(ARGV[4], ARGV[1], ARGV[2])
local time = redis.call('TIME')
return string.format('%.0f', time[1] * 1000 + time[2] / 1000)
`,
)

export const scripts = [publishScript, replayScript, heartbeatScript]

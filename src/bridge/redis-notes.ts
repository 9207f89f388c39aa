import { randomBytes } from 'node:crypto'
import { type Kept, NOTES, type Note, type NotesRead } from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisKeys } from './redis-keys.ts'
import { within } from './redis-link.ts'
import { script, serverId, withScripts } from './redis-scripts.ts'

/** Notes in one reading. */
const READ_NOTES = 500

/**
 * Keeps notes. KEYS: notes, order, ends. ARGV: next epoch, most notes, then name, value and end of each. The three keys
 * are one thing: where they do not agree, something of them is lost, and they begin anew. Replies how many were refused.
 */
const keepScript = script(
  `${serverId}
local notes, order, ends = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local known = lenient('HMGET', notes, 'epoch', 'revision') or {}
local count = lenient('ZCARD', order)
if not known[1] or count ~= lenient('ZCARD', ends) or redis.call('HLEN', notes) ~= count + 2 then
  redis.call('DEL', notes, order, ends)
  redis.call('HSET', notes, 'epoch', ARGV[1], 'revision', 0)
  known, count = {ARGV[1], 0}, 0
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('HDEL', notes, name)
  redis.call('ZREM', order, name)
  redis.call('ZREM', ends, name)
  count = count - 1
end
local revision, refused = tonumber(known[2]), 0
for i = 3, #ARGV, 3 do
  local name, value, until_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = redis.call('HMGET', notes, name)[1]
  if not old and count >= tonumber(ARGV[2]) then
    refused = refused + 1
  else
    if not old then count = count + 1 end
    local old_value, old_until = string.match(old or '', '^(%d+) (%d+)$')
    if old_value and tonumber(old_value) > tonumber(value) then value = old_value end
    if old_until and tonumber(old_until) > tonumber(until_ms) then until_ms = old_until end
    if old ~= value .. ' ' .. until_ms then
      revision = revision + 1
      redis.call('HSET', notes, name, value .. ' ' .. until_ms, 'revision', revision)
      redis.call('ZADD', order, revision, name)
      redis.call('ZADD', ends, until_ms, name)
    end
  end
end
local last = redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]
if last then
  local ttl = string.format('%.0f', math.max(1, tonumber(last) - now))
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
else
  redis.call('DEL', notes, order, ends)
end
return refused
`,
)

/**
 * Reads the notes that came after a revision; all from the beginning for another epoch or server. KEYS: notes, order.
 * ARGV: epoch, server, revision, limit. Replies {epoch, server, revision}, and of each note name and `<value> <end>`.
 */
const readScript = script(
  `${serverId}
local known = lenient('HMGET', KEYS[1], 'epoch') or {}
local server = server_id()
if not known[1] or not lenient('ZCARD', KEYS[2]) then return {'', server, '0'} end
local since = 0
if known[1] == ARGV[1] and server == ARGV[2] then since = ARGV[3] end
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local reply = {known[1], server, found[#found] or since .. ''}
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = redis.call('HMGET', KEYS[1], found[i])[1] or ''
end
return reply
`,
)
const noteScripts = [keepScript, readScript]

const NOTE = /^(\d{1,16}) (\d{1,16})$/

export interface RedisNotesOptions {
  keys: RedisKeys
  timeoutMs: number
  /** The connection to the master that has the notes; undefined while it is away. */
  client(): RedisClient | undefined
  onFailure(error: Error): void
}

/** The notes in Redis, and up to where this node has read them. */
export class RedisNotes {
  readonly #options: RedisNotesOptions
  #cursor = { epoch: '', server: '', revision: '0' }

  constructor(options: RedisNotesOptions) {
    this.#options = options
  }

  async keep(notes: readonly Note[]): Promise<Kept> {
    const { keys } = this.#options
    const args = notes.flatMap(({ name, value, untilMs }) => [name, value, untilMs])
    const refused = await this.#run((client) =>
      client.run(keepScript, keys.notes, [randomBytes(6).toString('base64url'), NOTES, ...args]),
    )
    if (refused === undefined) return 'unreachable'
    return refused === 0 ? 'kept' : 'full'
  }

  async read(): Promise<NotesRead | undefined> {
    const before = this.#cursor
    const names = this.#options.keys.notes.slice(0, 2)
    const reply = await this.#run((client) =>
      client.run(readScript, names, [before.epoch, before.server, before.revision, READ_NOTES]),
    )
    if (!Array.isArray(reply)) return undefined
    const [epoch, server, revision, ...rest] = reply.map(String)
    const cursor = { epoch: epoch ?? '', server: server ?? '', revision: revision ?? '0' }
    this.#cursor = cursor
    return {
      notes: notesIn(rest),
      isAnew: cursor.epoch !== before.epoch || cursor.server !== before.server,
      hasMore: rest.length === 2 * READ_NOTES,
    }
  }

  /** undefined when Redis cannot be asked, or refuses. */
  async #run(ask: (client: RedisClient) => Promise<unknown>): Promise<unknown> {
    const client = this.#options.client()
    if (client === undefined) return undefined
    try {
      const answer = withScripts(client, () => ask(client), noteScripts)
      return await within(this.#options.timeoutMs, answer, 'slow')
    } catch (error) {
      this.#options.onFailure(error as Error)
      return undefined
    }
  }
}

/** Name and text in turn; what has another form was written by somebody else. */
function notesIn(words: readonly string[]): Note[] {
  const notes: Note[] = []
  for (let at = 0; at + 1 < words.length; at += 2) {
    const [, value, untilMs] = NOTE.exec(words[at + 1] as string) ?? []
    if (untilMs === undefined) continue
    notes.push({ name: words[at] as string, value: Number(value), untilMs: Number(untilMs) })
  }
  return notes
}

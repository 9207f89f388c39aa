// A node is killed in the middle of everything: publishing by HTTP, sockets, streams, webhooks, presence.
import t from 'tap'
import { API_SECRET, callApi } from '../support/api.ts'
import { HOOK_SECRET, startBackEnd } from '../support/back-end.ts'
import { type Client, connect } from '../support/client.ts'
import { EventStream } from '../support/event-stream.ts'
import { startRedis } from '../support/redis.ts'
import { type Server, startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const MEMBERS = 10
const PUBLISHERS = 8
/** As docs/PROTOCOL.md has it: a dead node's users leave within this time. */
const GHOST_MS = 15_000

interface Told {
  type: string
  user: string
  room: string
}

/** Publishes its own numbers one after another until it is told to stop; resolves with those acked as `cluster`. */
async function publishUntil(server: Server, name: string, isOver: () => boolean): Promise<string[]> {
  const sure: string[] = []
  for (let n = 0; !isOver(); n++) {
    const content = `${name}-${n}`
    const answer = await callApi(server, { path: '/rooms/r/messages', body: { content } }).catch(
      () => undefined,
    )
    // Dead: whether it has taken the last one, nobody knows.
    if (answer === undefined) break
    if (answer.status === 200 && answer.body.scope === 'cluster') sure.push(content)
  }
  return sure
}

t.test('kill -9 leaves no ghost, and every answer that said cluster was true', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const receiver = await startBackEnd(t, (_asked, response) => response.end())
  const start = async () => {
    const server = await startServer({
      REDIS_URL: redis.url,
      API_KEYS: `app:${API_SECRET}`,
      WEBHOOK_URL: receiver.url,
      WEBHOOK_SECRET: HOOK_SECRET,
      ROOM_RULES: '[{"match":"r","presence":{"lingerMs":1000}}]',
    })
    t.teardown(() => server.stop('SIGKILL'))
    return server
  }
  const [one, two] = [await start(), await start()]
  const join = async (server: Server, node: string) => {
    const members: Client[] = []
    const streams: EventStream[] = []
    for (let n = 0; n < MEMBERS; n++) {
      const member = await connect(server, `${node}-${n}`)
      await member.request({ type: 'join', room: 'r', presence: true })
      members.push(member)
      const query = `room=r&token=${tokenFor(`${node}-stream-${n}`)}`
      const stream = new EventStream(`http://${server.host}:${server.port}/sse?${query}`)
      t.teardown(() => stream.close())
      await stream.next('joined')
      streams.push(stream)
    }
    return { members, streams }
  }
  const [, there] = [await join(one, 'one'), await join(two, 'two')]
  const usersOf = (node: string) =>
    Array.from({ length: MEMBERS }, (_, n) => [`${node}-${n}`, `${node}-stream-${n}`])
      .flat()
      .sort()
  await pollUntil('all are here', async () => {
    const { body } = await callApi(two, { path: '/rooms/r/members' })
    return body.users.length === 4 * MEMBERS
  })

  let isOver = false
  const publishing = [one, two].flatMap((server, node) =>
    Array.from({ length: PUBLISHERS }, (_, n) => publishUntil(server, `p${node}-${n}`, () => isOver)),
  )
  const got = (client: Client) => client.received.filter(({ type }) => type === 'message')
  const [watcher] = there.members as [Client]
  await pollUntil('a thousand are told', () => got(watcher).length > 1000, 30_000)
  await one.stop('SIGKILL')
  const killedAtMs = performance.now()
  const until = got(watcher).length + 500
  await pollUntil('it goes on', () => got(watcher).length > until, 30_000)
  isOver = true
  const sure = (await Promise.all(publishing)).flat()
  t.ok(sure.length > 1000, `${sure.length} answers said cluster`)

  await pollUntil('the last has come', () => got(watcher).some(({ content }) => content === sure.at(-1)))
  for (const member of there.members) await member.request({ type: 'ping' })
  const missing = (contents: unknown[]) => {
    const all = new Set(contents)
    return { missing: sure.filter((content) => !all.has(content)), twice: contents.length - all.size }
  }
  const none = { missing: [], twice: 0 }
  for (const member of there.members)
    t.strictSame(missing(got(member).map(({ content }) => content)), none, 'a member has each, once')
  for (const stream of there.streams) {
    const contents = () =>
      stream.events.filter(({ type }) => type === 'message').map(({ data }) => data.content)
    await stream.until('a stream has each', () => missing(contents()).missing.length === 0)
    t.strictSame(missing(contents()), none)
  }

  const members = await pollUntil(
    'no ghost is in the room',
    async () => {
      const { body } = await callApi(two, { path: '/rooms/r/members' })
      return body.users.length === 2 * MEMBERS ? body : undefined
    },
    GHOST_MS,
  )
  const tookMs = performance.now() - killedAtMs
  t.ok(tookMs < GHOST_MS + 1000, `gone after ${Math.round(tookMs)} ms`)
  t.strictSame(members.users.map(({ user }: { user: string }) => user).sort(), usersOf('two'))
  const left = (all: unknown[]) => all.flat().sort()
  for (const member of there.members) {
    const told = () => left(member.received.map(({ type, left }) => (type === 'member' ? (left ?? []) : [])))
    await pollUntil('a member is told', () => told().length >= 2 * MEMBERS)
    t.strictSame(told(), usersOf('one'), 'each has left once')
  }
  const events = () =>
    receiver.asked.flatMap(({ body }) => body.events as Told[]).filter(({ type }) => type === 'user.left')
  await pollUntil('the receiver is told', () => events().length >= 2 * MEMBERS)
  t.strictSame(
    events()
      .map(({ user }) => user)
      .sort(),
    usersOf('one'),
    'the receiver is told once of each',
  )
  await pollUntil('it is no node any more', async () => {
    const { nodes } = (await callApi(two, { path: '/cluster' })).body
    return nodes.asked === 1 && nodes.answered === 1
  })
  for (const member of there.members) await member.close()
})

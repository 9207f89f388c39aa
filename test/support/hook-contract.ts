// What hooks and calls do for clients, whoever answers them: the functions of an app, or a back end behind a URL.
import { Writable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import roomcast, { type RoomcastOptions } from '../../src/app.ts'
import { type Client, connect } from './client.ts'
import { isRefusal, tryUpgrade } from './exchange.ts'
import type { Address } from './raw-socket.ts'
import { SECRET, tokenFor } from './token.ts'
import { Notifier, pollUntil } from './until.ts'

/** What a hook is asked, whatever the way. */
export interface Question {
  claims?: Record<string, unknown>
  request?: { headers: Record<string, unknown> }
  client?: string
  user?: string
  info?: unknown
  room?: string | undefined
  content?: unknown
}
/** The host's side. What it gives back is the answer of the contract; a call's is the result. */
export interface Host {
  connect?: (question: Question) => unknown
  join?: (question: Question) => unknown
  publish?: (question: Question) => unknown
  calls?: Record<string, (params: unknown, question: Question) => unknown>
}
export type Options = Pick<RoomcastOptions, 'hookTimeoutMs' | 'hookMaxPending' | 'hookFail'>

export interface Hooked extends Address {
  /** What the server has logged. */
  log: Record<string, unknown>[]
}

/** A server with these options of roomcast; closed with the test. */
export async function serve(t: Test, options: RoomcastOptions): Promise<Hooked> {
  const log: Hooked['log'] = []
  const stream = new Writable({
    write: (line: Buffer, _encoding, done) => {
      log.push(JSON.parse(line.toString()))
      done()
    },
  })
  const app: FastifyInstance = Fastify({ logger: { stream, level: 'warn' } })
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: SECRET, shutdownGraceMs: 500, ...options })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { host: '127.0.0.1', port: (app.server.address() as { port: number }).port, log }
}

export interface HookContract {
  /** Starts a server whose hooks are those of the host. */
  start: (t: Test, host: Host, options?: Options) => Promise<Hooked>
  /** The code of the error when the host's function throws. */
  thrown: 'internal' | 'unavailable'
}

/** Settles when the test says so. */
class Gate {
  readonly asked: Question[] = []
  readonly #events = new Notifier()
  #answers: ((answer: unknown) => void)[] = []

  readonly ask = (question: Question): Promise<unknown> => {
    this.asked.push(question)
    return new Promise((resolve) => {
      this.#answers.push(resolve)
      this.#events.notify()
    })
  }

  /** Answers the oldest question, which may still be on its way. */
  async answer(answer?: unknown): Promise<void> {
    await this.isAsked()
    this.#answers.shift()?.(answer)
  }

  isAsked(): Promise<true> {
    return this.#events.until('the hook is asked', () => this.#answers.length > 0)
  }
}

const hang = () => new Promise<never>(() => {})
const fail = () => {
  throw new Error('no way')
}

export function hookContract(name: string, { start, thrown }: HookContract): void {
  const test = (what: string, run: (t: Test) => Promise<void>) => t.test(`${name}: ${what}`, run)

  test('connect sees the claims and the request, and may refuse before the 101', async (t) => {
    const asked: Question[] = []
    const server = await start(t, {
      connect: (question) => {
        asked.push(question)
        return question.claims?.sub === 'eve' ? { refuse: 'not you\u0000, eve' } : undefined
      },
    })
    const refused = await tryUpgrade(server, `?token=${tokenFor('eve', { plan: 'free' })}`, {
      lines: ['X-Device: phone'],
    })
    isRefusal(t, refused, 403, 'refused')
    t.equal(JSON.parse(refused.response.body).message, 'not you\ufffd, eve')
    t.match(asked, [{ claims: { sub: 'eve', plan: 'free' }, request: { headers: { 'x-device': 'phone' } } }])
    const ada = await connect(server, 'ada')
    t.match(ada.welcome, { user: 'ada' })
    isRefusal(t, await tryUpgrade(server, '?token=rubbish'), 401, 'unauthorized')
    t.equal(asked.length, 2, 'who has no token that verifies, nobody is asked about')
    await ada.close()
  })

  test('what connect says takes the place of the claims, by the same rules', async (t) => {
    const answers: Record<string, unknown> = {
      ada: { info: { name: 'Ada' }, can: { join: ['$user.*'] }, rooms: ['ada.notes'] },
      bob: {},
      longInfo: { info: 'x'.repeat(1025) },
      deepInfo: { info: JSON.parse('['.repeat(20) + ']'.repeat(20)) },
      unknownWord: { can: { fly: true } },
      closedRoom: { can: { join: ['a'] }, rooms: ['b'] },
      slip: { info: 1, cna: {} },
    }
    const seen: Question[] = []
    const server = await start(t, {
      connect: ({ claims }) => answers[String(claims?.sub)],
      join: (question) => {
        seen.push(question)
      },
    })
    const ada = await connect(server, 'ada', { info: 'of the token', can: { join: ['*'] } })
    t.match(await ada.next('joined'), { room: 'ada.notes' })
    t.match(seen, [{ user: 'ada', room: 'ada.notes' }], 'of the rooms that it names, join is asked')
    t.match(await ada.request({ type: 'join', room: 'lobby' }), { code: 'forbidden' })
    await ada.join('ada.more')
    t.match(seen.at(-1), { client: ada.id, user: 'ada', info: { name: 'Ada' }, room: 'ada.more' })
    const bob = await connect(server, 'bob', { info: 'of the token', can: { join: ['lobby'] } })
    await bob.join('lobby')
    t.match(seen.at(-1), { info: 'of the token' })
    t.match(await bob.request({ type: 'join', room: 'x' }), { code: 'forbidden' })
    for (const client of [ada, bob]) {
      const token = tokenFor(String(client.welcome.user), { info: 'of the new', can: { join: ['*'] } })
      t.match(await client.request({ type: 'refresh', token }), { type: 'refreshed' })
    }
    t.match(await ada.request({ type: 'join', room: 'lobby' }), { code: 'forbidden' }, 'no token undoes that')
    await ada.join('ada.last')
    t.match(seen.at(-1), { info: { name: 'Ada' } })
    await bob.join('x')
    t.match(seen.at(-1), { info: 'of the new' }, 'where nothing was changed, it is that of the token')
    for (const sub of ['longInfo', 'deepInfo', 'unknownWord', 'closedRoom', 'slip'])
      isRefusal(t, await tryUpgrade(server, `?token=${tokenFor(sub)}`), 500, 'internal')
    await Promise.all([ada.close(), bob.close()])
  })

  test('join may refuse, with a reason of 200 characters', async (t) => {
    const asked: Question[] = []
    const server = await start(t, {
      join: (question) => {
        asked.push(question)
        return question.room === 'closed' ? { refuse: 'é'.repeat(300) } : undefined
      },
    })
    const ada = await connect(server, 'ada', { can: { join: ['open', 'closed'], publish: ['*'] } })
    const refused = await ada.request({ type: 'join', room: 'closed' })
    t.match(refused, { type: 'error', code: 'refused', room: 'closed', message: 'é'.repeat(200) })
    t.equal(String(refused.message).length, 200)
    t.match(await ada.request({ type: 'message', room: 'closed', content: 1 }), { code: 'not_member' })
    t.match(await ada.join('open'), { type: 'joined' })
    t.match(await ada.request({ type: 'join', room: 'forbidden' }), { code: 'forbidden' })
    t.strictSame(
      asked.map(({ room }) => room),
      ['closed', 'open'],
      'what the token does not allow nobody is asked about',
    )
    await ada.close()
  })

  test('publish may refuse, or put another content in place; else it is the text that was sent', async (t) => {
    const text = '{"n":9007199254740993, "e":1.0e2,"k":1,"k":"\\u0041"}'
    const asked: Question[] = []
    const server = await start(t, {
      publish: (question) => {
        asked.push(question)
        if (question.content === 'damn') return { refuse: 'mind your words' }
        if (question.content === 'email') return { content: { masked: ['***', null] } }
        if (question.content === 'nothing') return { content: null }
        return undefined
      },
    })
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
    await ada.join('r')
    await bob.join('r')
    t.match(await ada.request({ type: 'message', room: 'r', content: 'damn' }), {
      code: 'refused',
      message: 'mind your words',
      room: 'r',
    })
    await ada.publish('r', 'email')
    await ada.publish('r', 'nothing')
    ada.send(`{"type":"message","room":"r","content":${text},"id":1}`)
    await ada.next('ack')
    await ada.publish(undefined, 'to all')
    const contents = []
    for (let n = 0; n < 4; n++) contents.push(await bob.next('message'))
    t.strictSame(
      contents.map(({ content }) => content),
      [{ masked: ['***', null] }, null, JSON.parse(text), 'to all'],
    )
    t.match(bob.text(contents[2] as never), `"content":${text},`)
    t.match(asked[0], { client: ada.id, user: 'ada', room: 'r' })
    t.equal(asked.at(-1)?.room, undefined)
    ada.say('r', 'damn')
    t.match(await ada.next('error'), { code: 'refused' }, 'also without an id')
    await Promise.all([ada.close(), bob.close()])
  })

  test('calls have a result, an error, or none of it', async (t) => {
    const seen: unknown[] = []
    const server = await start(t, {
      calls: {
        add: (params, { user }) => {
          const [a, b] = params as [number, number]
          return { sum: a + b, user }
        },
        note: (params) => {
          seen.push(params)
        },
        no: () => ({ refuse: 'not today' }),
        looks: () => ({ refuse: 'is data here', more: 1 }),
        fail,
      },
    })
    const ada = await connect(server, 'ada')
    const call = (method: string, params?: unknown) => ada.request({ type: 'call', method, params })
    t.match(await call('add', [1, 2]), { type: 'result', result: { sum: 3, user: 'ada' } })
    t.match(await call('note'), { type: 'result', result: null })
    t.match(await call('note', { deep: [null] }), { type: 'result', result: null })
    t.strictSame(seen, [undefined, { deep: [null] }])
    t.match(await call('no'), { code: 'refused', message: 'not today' })
    t.match(await call('looks'), { result: { refuse: 'is data here', more: 1 } })
    t.match(await call('fail'), { code: thrown })
    for (const method of ['sub', 'constructor', '__proto__', 'x'.repeat(128)])
      t.match(await call(method), { type: 'error', code: 'unknown_method' })
    for (const method of ['', 'x'.repeat(129), 5])
      t.match(await call(method as string), { code: 'bad_envelope' })
    ada.send({ type: 'call', method: 'note', params: 'quietly' })
    t.strictSame(await ada.fence(), [])
    t.equal(seen.at(-1), 'quietly', 'carried out, and not answered')
    await ada.close()
  })

  test("a client's order holds while it is asked, and others do not wait", async (t) => {
    const gate = new Gate()
    const server = await start(t, {
      join: ({ room }) => (room === 'slow' ? gate.ask({ room }) : undefined),
      publish: ({ content }) => (content === 'slow' ? gate.ask({ content }) : undefined),
      calls: { slow: () => gate.ask({}) },
    })
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
    await bob.join('r')
    const types = async (end: string) =>
      (await ada.collectUntil(({ id }) => id === end)).map(({ type, id, code }) => code ?? id ?? type)
    const sendAll = (first: object) => {
      for (const envelope of [
        { type: 'ping', id: 'before' },
        first,
        { type: 'join', room: 'r', id: 'join' },
        { type: 'message', room: 'r', content: 'slow', id: 'asked' },
        { type: 'message', room: 'r', content: 'quick', id: 'quick' },
        { type: 'nonsense' },
        { type: 'leave', room: 'r', id: 'leave' },
        { type: 'ping', id: 'end' },
      ])
        ada.send(envelope as never)
    }
    for (const first of [
      { type: 'join', room: 'slow', id: 'slow' },
      { type: 'call', method: 'slow', id: 'slow' },
    ]) {
      sendAll(first)
      await gate.isAsked()
      t.match(await bob.publish('r', 'of bob'), { type: 'ack' })
      t.strictSame(await types('before'), ['before'], 'what was sent before is answered')
      await gate.answer(first.type === 'call' ? 1 : undefined)
      await gate.answer()
      const order = ['slow', 'join', 'asked', 'quick', 'unknown_type', 'leave', 'end']
      t.strictSame(await types('end'), order)
      t.match(await bob.next('message'), { content: 'slow' })
      t.match(await bob.next('message'), { content: 'quick' })
    }
    await Promise.all([ada.close(), bob.close()])
  })

  test('a hook that throws, hangs or answers rubbish costs its own request', async (t) => {
    const rubbish = [true, 1, 'x', ['refuse'], { refused: 'a slip' }, { refuse: 5 }, { refuse: null }]
    const how = (what: unknown) =>
      what === 'hang'
        ? hang()
        : what === 'throw'
          ? fail()
          : typeof what === 'number'
            ? rubbish[what]
            : undefined
    const server = await start(
      t,
      {
        connect: ({ claims }) => how(claims?.how),
        join: ({ room }) => how(room?.startsWith('n') ? Number(room.slice(1)) : room),
        publish: ({ content }) => how(content),
        calls: { hang, throw: fail },
      },
      { hookTimeoutMs: 200 },
    )
    const upgrade = (how: unknown) => tryUpgrade(server, `?token=${tokenFor('eve', { how })}`)
    isRefusal(t, await upgrade('hang'), 503, 'unavailable')
    isRefusal(t, await upgrade('throw'), thrown === 'internal' ? 500 : 503, thrown)
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
    await bob.join('r')
    await ada.join('r')
    const join = (room: string) => ada.request({ type: 'join', room })
    const say = (content: unknown) => ada.request({ type: 'message', room: 'r', content })
    t.match(await join('hang'), { code: 'unavailable' })
    t.match(await join('throw'), { code: thrown })
    t.match(await say('hang'), { code: 'unavailable' })
    t.match(await say('throw'), { code: thrown })
    t.match(await ada.request({ type: 'call', method: 'hang' }), { code: 'unavailable' })
    t.match(await ada.request({ type: 'call', method: 'throw' }), { code: thrown })
    for (const n of rubbish.keys()) {
      isRefusal(t, await upgrade(n), 500, 'internal')
      t.match(await join(`n${n}`), { code: 'internal' })
      t.match(await say(n), { code: 'internal' })
    }
    t.match(await say('fine'), { type: 'ack' })
    t.match(await bob.next('message'), { content: 'fine' }, 'and nothing else was published')
    const failed = server.log.filter(({ msg }) => msg === 'hook failed')
    t.ok(failed.length >= 4 && failed.length < 20, 'a flood of failures is few lines')
    await Promise.all([ada.close(), bob.close()])
  })

  test('with hookFail open, what cannot be asked is allowed; calls fail, and refusals hold', async (t) => {
    const server = await start(
      t,
      {
        connect: fail,
        join: ({ room }) => (room === 'no' ? { refuse: 'no' } : fail()),
        publish: ({ content }) => (content === 'hang' ? hang() : fail()),
        calls: { fail },
      },
      { hookTimeoutMs: 200, hookFail: 'open' },
    )
    const ada = await connect(server, 'ada')
    await ada.join('r')
    t.match(await ada.request({ type: 'join', room: 'no' }), { code: 'refused' })
    await ada.publish('r', 'throws')
    await ada.publish('r', 'hang')
    t.match(await ada.request({ type: 'call', method: 'fail' }), { code: thrown })
    await ada.close()
  })

  test('an answer for a client that has gone does nothing', async (t) => {
    const [publish, join, call, upgrade] = [new Gate(), new Gate(), new Gate(), new Gate()]
    const server = await start(t, {
      connect: ({ claims }) => (claims?.sub === 'eve' ? upgrade.ask({}) : undefined),
      join: ({ room }) => (room === 'slow' ? join.ask({ room }) : undefined),
      publish: publish.ask,
      calls: { slow: () => call.ask({}) },
    })
    const bob = await connect(server, 'bob')
    await bob.join('r')
    const leaveWith = async (envelope: object, gate: Gate) => {
      const ada = await connect(server, 'ada')
      await ada.join('r')
      ada.send(envelope as never)
      ada.send({ type: 'message', room: 'r', content: 'later' })
      await gate.isAsked()
      ada.socket.destroy()
      return ada
    }
    const gone: Client[] = []
    gone.push(await leaveWith({ type: 'message', room: 'r', content: 'late' }, publish))
    gone.push(await leaveWith({ type: 'join', room: 'slow' }, join))
    gone.push(await leaveWith({ type: 'call', method: 'slow', id: 1 }, call))
    const eve = tryUpgrade(server, `?token=${tokenFor('eve')}`).catch(() => 'gone')
    await upgrade.isAsked()
    await pollUntil('they have gone', async () => (await clientsOf(server)) === 1)
    for (const gate of [publish, join, call]) await gate.answer()
    await upgrade.answer({ refuse: 'no' })
    await eve
    bob.send({ type: 'message', room: 'r', content: 'of bob', echo: true, id: 1 })
    await publish.answer()
    t.match(await bob.next('message'), { content: 'of bob' }, 'nothing of those who have gone')
    t.equal(publish.asked.length, 2, 'nor is anybody asked about what they had sent later')
    await bob.close()
  })

  test('beyond hookMaxPending requests are unavailable', async (t) => {
    const gate = new Gate()
    const server = await start(t, { publish: gate.ask }, { hookMaxPending: 2, hookFail: 'open' })
    const clients = await Promise.all(['a', 'b', 'c'].map((sub) => connect(server, sub)))
    const [a, b, c] = clients as [Client, Client, Client]
    for (const client of clients) await client.join('r')
    for (const client of [a, b]) client.send({ type: 'message', room: 'r', content: 1, id: 1 })
    await pollUntil('two are under way', () => gate.asked.length === 2)
    t.match(await c.request({ type: 'message', room: 'r', content: 2 }), { code: 'unavailable' })
    await gate.answer()
    await gate.answer()
    for (const client of [a, b]) await client.next('ack')
    const again = c.request({ type: 'message', room: 'r', content: 3 })
    await gate.answer()
    t.match(await again, { type: 'ack' })
    for (const client of clients) await client.close()
  })
}

async function clientsOf({ host, port }: Address): Promise<number> {
  const response = await fetch(`http://${host}:${port}/health`)
  return ((await response.json()) as { clients: number }).clients
}

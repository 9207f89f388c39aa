import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { nowS } from '../target.ts'

/** The server's clock and ours may differ by so much. */
const CLOCK_MS = 3_600_000

/** Texts that most parsers and writers of JSON would change. */
const texts = [
  '{"b":1,"a":2,"10":3,"2":4}',
  '[1.0,1e2,-0,0.10,12345678901234567890,1e400,1E-7]',
  '{ "a" :\t[ 1 ,  2 ] }',
  '"\\u00e9\\/\\u2028 é \\ud83d\\ude00"',
  '{"a":1,"a":2}',
  '"\u2028\u2029 \u{1f600} \u00a0"',
  '{"__proto__":{"x":1}}',
  '""',
]

const welcome = [
  check('welcome is first, with all of its fields', async (visit) => {
    const { welcome } = await visit.connect()
    for (const name of ['client', 'user', 'node'])
      expectTrue(typeof welcome[name] === 'string' && welcome[name] !== '', `welcome has no \`${name}\``)
    for (const name of ['pingIntervalMs', 'maxMessageBytes'])
      expectTrue(Number.isInteger(welcome[name]), `welcome has no \`${name}\``)
    expectFields(welcome, { rooms: undefined }, 'welcome of a token without rooms')
  }),
  check('`expiresAt` and `expiresInMs` say when the token ends', async (visit) => {
    const exp = nowS() + 1000
    const { welcome } = await visit.connect({ claims: { exp } })
    const [at, inMs] = [Number(welcome.expiresAt), Number(welcome.expiresInMs)]
    expectTrue(Math.abs(at - exp * 1000) <= CLOCK_MS, `expiresAt is ${shown(welcome.expiresAt)}`)
    expectTrue(Math.abs(inMs - 1_000_000) <= CLOCK_MS && inMs > 0, `expiresInMs is ${shown(inMs)}`)
  }),
  check('each client has an id of its own', async (visit) => {
    const sub = visit.target.user()
    const ids = [await visit.connect({ sub }), await visit.connect({ sub })].map(({ client }) => client)
    expectTrue(ids[0] !== ids[1], `two clients have the id ${ids[0]}`)
  }),
]

const messages = [
  check('`content` is the sender’s own text, byte for byte', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    for (const text of texts) {
      client.send(`{"type":"message","room":${JSON.stringify(room)},"content":${text}}`)
      const got = listener.mail.textOf(await listener.message())
      expectTrue(got.includes(`"content":${text}`), `${text} was sent, and ${got} came`)
    }
  }),
  check('`content` is the same in what is recovered and in the history', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    for (const [id, text] of texts.entries()) {
      client.send(`{"type":"message","room":${JSON.stringify(room)},"content":${text},"id":${id}}`)
      await client.answer(id)
    }
    const late = await visit.connect()
    const joined = await late.join(room, { last: texts.length })
    if (joined.missed !== texts.length)
      return expectTrue(joined.epoch === undefined, 'not all were recovered')
    for (const text of texts) {
      const got = late.mail.textOf(await late.message())
      expectTrue(got.includes(`"content":${text}`), `${text} was sent, and ${got} was recovered`)
    }
    const history = late.mail.textOf(await late.ask({ type: 'history', room }))
    for (const text of texts)
      expectTrue(history.includes(`"content":${text}`), `${text} is not in the history ${shown(history)}`)
  }),
  check('`from` says who it was: the client, the user, and no `app`', async (visit) => {
    const room = visit.room()
    const sub = visit.target.user()
    const [client, listener] = [await visit.member(room, { sub }), await visit.member(room)]
    await client.publish(room, 1)
    const { from } = await listener.message()
    expectFields(from as object, { client: client.client, user: sub, app: undefined }, '`from`')
  }),
  check('`at` is the time in ms', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    await visit.said(room, 1)
    const { at } = await listener.message()
    expectTrue(Math.abs(Number(at) - Date.now()) <= CLOCK_MS, `at is ${shown(at)}`)
  }),
  check('a client cannot set `from`, `at` and `offset`', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    const forged = { from: { client: 'x', user: 'server', app: true }, at: 1, offset: 999_999 }
    await client.publish(room, 1, forged)
    const got = await listener.message()
    expectFields(got.from as object, { client: client.client, app: undefined }, '`from`')
    expectTrue(got.at !== 1 && got.offset !== 999_999, `the sender's own words came: ${shown(got)}`)
  }),
]

const order = [
  check('a client’s messages keep their order, and each comes once', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    const sent = Array.from({ length: 60 }, (_, n) => n)
    for (const content of sent) client.send({ type: 'message', room, content })
    const got = (await listener.messages(sent.length)).map(({ content }) => content)
    expectEqual(got, sent, 'what came')
    await listener.expectNothing('behind it')
  }),
  check('all members get messages in one and the same order', async (visit) => {
    const room = visit.room()
    const speakers = [await visit.member(room), await visit.member(room), await visit.member(room)]
    const listeners = [await visit.member(room), await visit.member(room)]
    for (let n = 0; n < 15; n++) {
      for (const [who, speaker] of speakers.entries())
        speaker.send({ type: 'message', room, content: `${who}/${n}` })
    }
    const orders: unknown[] = []
    for (const listener of listeners) {
      const got = await listener.messages(45)
      orders.push(got.map(({ content, offset }) => [content, offset]))
      const offsets = got.map(({ offset }) => Number(offset ?? 0))
      const isRising = offsets.every((offset, at) => at === 0 || offset - Number(offsets[at - 1]) === 1)
      expectTrue(isRising || got[0]?.offset === undefined, `the offsets are ${offsets}`)
    }
    expectEqual(orders[1], orders[0], 'the order of the second member')
  }),
  check('`joined` is ahead of the first message', async (visit) => {
    const room = visit.room()
    const speaker = await visit.member(room)
    const client = await visit.connect()
    client.send({ type: 'join', room, id: 1 })
    for (let n = 0; n < 20; n++) speaker.send({ type: 'message', room, content: n })
    expectFields(await client.mail.next('joined'), { type: 'joined', id: 1 }, 'the first envelope')
  }),
]

export const delivery = section('To the client', [...welcome, ...messages, ...order])

import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import type { Session } from '../session.ts'

const LONG_MS = 30_000

/** The text brings this error, with this id or none, and the client stays. */
async function bad(client: Session, text: string, code: string, id?: unknown): Promise<void> {
  client.send(text)
  const got = await client.mail.next(`the error of ${shown(text)}`)
  expectFields(got, { type: 'error', code, id }, `what answers ${shown(text)}`)
  await client.expectNothing(`behind the error of ${shown(text)}`)
}

const grammar = [
  check('a text that is no JSON is bad_envelope, and the client stays', async (visit) => {
    const client = await visit.connect()
    for (const text of ['{', '', 'hello', '{"type":"ping",}', "{'type':'ping'}"])
      await bad(client, text, 'bad_envelope')
  }),
  check('JSON that is no object is bad_envelope', async (visit) => {
    const client = await visit.connect()
    for (const text of ['[]', '1', 'null', '"ping"', '[{"type":"ping"}]'])
      await bad(client, text, 'bad_envelope')
  }),
  check('a type that is none is unknown_type, with the id', async (visit) => {
    const client = await visit.connect()
    await bad(client, '{"type":"fly","id":"a"}', 'unknown_type', 'a')
  }),
  check('a missing type is bad_envelope, with the id', async (visit) => {
    const client = await visit.connect()
    await bad(client, '{"id":7}', 'bad_envelope', 7)
    await bad(client, '{"type":5,"id":8}', 'bad_envelope', 8)
  }),
  check(
    'an id is a text of 1 to 64 characters or a safe integer, and comes back as it was',
    async (visit) => {
      const client = await visit.connect()
      for (const id of ['a', 'x'.repeat(64), 'ü €', 0, -1, Number.MAX_SAFE_INTEGER]) {
        client.send({ type: 'ping', id })
        expectFields(await client.mail.next('a pong'), { type: 'pong', id }, 'the answer')
      }
    },
  ),
  check('any other id is bad_envelope, without an id', async (visit) => {
    const client = await visit.connect()
    for (const id of ['""', `"${'x'.repeat(65)}"`, '1.5', '9007199254740993', 'null', 'true', '{}'])
      await bad(client, `{"type":"ping","id":${id}}`, 'bad_envelope')
  }),
  check('unknown fields are ignored', async (visit) => {
    const client = await visit.connect()
    client.send({ type: 'ping', id: 1, colour: 'red', room: null, content: {} })
    expectFields(await client.mail.next('a pong'), { type: 'pong', id: 1 }, 'the answer')
  }),
  check('a repeated key counts as its last value', async (visit) => {
    const client = await visit.connect()
    client.send('{"type":"join","id":1,"type":"ping","id":2}')
    expectFields(await client.mail.next('a pong'), { type: 'pong', id: 2 }, 'the answer')
  }),
  check('a very deep nesting is bad_envelope, and a moderate one is not', async (visit) => {
    const client = await visit.connect()
    const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    await bad(client, `{"type":"message","room":"r","content":${deep(2000)}}`, 'bad_envelope')
    const room = visit.room()
    await client.join(room)
    client.send(`{"type":"message","room":"${room}","id":1,"content":${deep(10)}}`)
    expectFields(await client.answer(1), { type: 'ack' }, 'the answer')
  }),
  check('requests are answered in the order in which they were sent', async (visit) => {
    const client = await visit.connect()
    const room = visit.room()
    const envelopes = [
      { type: 'join', room },
      { type: 'message', room, content: 1 },
      { type: 'fly' },
      { type: 'history', room },
      { type: 'ping' },
      { type: 'message', room, content: 2 },
      { type: 'leave', room },
      { type: 'message', room, content: 3 },
      { type: 'join', room: '' },
      { type: 'ping' },
    ]
    for (const [id, envelope] of envelopes.entries()) client.send({ ...envelope, id })
    for (const id of envelopes.keys())
      expectFields(await client.mail.next(`the answer to ${id}`), { id }, 'the next answer')
    await client.expectNothing('behind the answers')
  }),
  check('an error leaves the connection open', async (visit) => {
    const client = await visit.connect()
    await client.refused({ type: 'join' }, 'bad_envelope')
    await client.join(visit.room())
  }),
  check('a binary frame ends the client with 1003', async (visit) => {
    const client = await visit.connect()
    client.socket.send(Buffer.from('{"type":"ping"}'), { binary: true })
    await client.expectClosed(1003, LONG_MS)
  }),
]

const names = [
  check('a room that is no text, or missing, is bad_envelope', async (visit) => {
    const client = await visit.connect()
    for (const room of [null, 5, {}, [], true]) {
      await client.refused({ type: 'join', room }, 'bad_envelope')
      await client.refused({ type: 'message', room, content: 1 }, 'bad_envelope')
    }
    await client.refused({ type: 'join' }, 'bad_envelope')
  }),
  check('a name that breaks the rule is bad_room', async (visit) => {
    const client = await visit.connect()
    const wrong = ['', 'a\nb', 'a\u0000', '\u007f', '\u0085', '\ud800', 'x'.repeat(129), 'ü'.repeat(65)]
    for (const room of wrong) {
      for (const type of ['join', 'leave', 'history']) await client.refused({ type, room }, 'bad_room')
      await client.refused({ type: 'message', room, content: 1 }, 'bad_room')
    }
  }),
  check('a name has up to 128 bytes of UTF-8', async (visit) => {
    const client = await visit.connect()
    const start = visit.room('.')
    for (const fill of ['x', '.']) await client.join(start.padEnd(128, fill))
    const rest = 128 - Buffer.byteLength(start)
    await client.join(`${start}${rest % 2 === 1 ? 'x' : ''}${'ü'.repeat(Math.floor(rest / 2))}`)
  }),
  check('names are compared byte for byte', async (visit) => {
    const room = visit.room()
    const ends = ['.e\u0301', '.\u00e9', '.E\u0301', '.e\u0301 ', ' .e\u0301']
    const listener = await visit.member(`${room}${ends[0]}`)
    const speaker = await visit.connect()
    for (const end of ends.toReversed()) {
      await speaker.join(`${room}${end}`)
      await speaker.publish(`${room}${end}`, end)
    }
    expectEqual((await listener.message()).content, ends[0], 'the content of the only message')
    await listener.expectNothing('behind it')
  }),
  check('`*`, `$user` and `__proto__` are ordinary names', async (visit) => {
    const client = await visit.connect()
    for (const room of ['*', '$user', '__proto__']) {
      expectFields(await client.join(room), { room }, 'joined')
      await client.leave(room)
    }
    const other = visit.room()
    await visit.said(other, 1)
    expectTrue((await client.fence()).length === 0, 'a member of `*` got what was said elsewhere')
  }),
]

export const envelopes = section('Rules for all envelopes', [...grammar, ...names])

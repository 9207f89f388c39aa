import { check, Skip, section } from '../check.ts'
import { expectFields, expectTrue, shown } from '../expect.ts'
import type { Visit } from '../visit.ts'

/** Larger messages are not worth their way. */
const TRIED_BYTES = 4 * 1024 * 1024
/** Frames in which a limit is looked for. */
const FLOOD = 4000
/** Refused is what a client is told of once a second, so for longer than that nothing need come. */
const TOLD_MS = 1500
/** Pings that come more seldom are not waited for. */
const PATIENCE_MS = 10_000
/** A message may come in so many fragments, however small the largest message is. */
const FRAGMENTS = 1024
const BYTES_A_FRAGMENT = 256

async function withLimit(visit: Visit) {
  const client = await visit.connect()
  const limit = Number(client.welcome.maxMessageBytes)
  if (limit > TRIED_BYTES) throw new Skip(`maxMessageBytes is ${limit}, and larger than what is tried`)
  const padded = (bytes: number) => '{"type":"ping","id":1}'.padEnd(bytes)
  return { client, limit, padded }
}

export const size = section('Size', [
  check('a message of `maxMessageBytes` is taken', async (visit) => {
    const { client, limit, padded } = await withLimit(visit)
    client.send(padded(limit))
    expectFields(await client.answer(1), { type: 'pong' }, 'the answer')
  }),
  check('one byte more ends the client with 1009', async (visit) => {
    const { client, limit, padded } = await withLimit(visit)
    client.send(padded(limit + 1))
    await client.expectClosed(1009)
  }),
  check('fragments are added up', async (visit) => {
    const { client, limit, padded } = await withLimit(visit)
    client.socket.send(padded(limit), { fin: false })
    client.socket.send(' ', { fin: true })
    await client.expectClosed(1009)
  }),
  check('a message may come in 1,024 fragments', async (visit) => {
    const client = await visit.connect()
    const text = '{"type":"ping","id":1}'.padEnd(FRAGMENTS)
    for (let at = 0; at < FRAGMENTS; at++) client.socket.send(text[at] ?? '', { fin: at === FRAGMENTS - 1 })
    expectFields(await client.answer(1), { type: 'pong' }, 'the answer')
  }),
  check('in more fragments than one for each 256 bytes it ends the client with 1008', async (visit) => {
    const { client, limit } = await withLimit(visit)
    const most = Math.max(FRAGMENTS, Math.ceil(limit / BYTES_A_FRAGMENT))
    for (let n = 0; n <= most; n++) client.socket.send(' ', { fin: false })
    await client.expectClosed(1008)
  }),
])

export const rate = section('Rate', [
  check(
    'too many frames are `rate_limited`, without an id, and the client may go on later',
    async (visit) => {
      const client = await visit.connect()
      for (let id = 1; id <= FLOOD; id++) client.send({ type: 'ping', id })
      const isTold = ({ type, id }: { type: string; id?: unknown }) => type === 'error' || id === FLOOD
      const got = (await client.mail.upTo('an answer or a refusal', isTold)).at(-1)
      if (got?.type === 'pong') throw new Skip(`${FLOOD} frames at once are no too many`)
      expectFields(got ?? {}, { code: 'rate_limited', id: undefined }, 'the error')
      const wait = got?.retryAfterMs
      expectTrue(typeof wait === 'number' && wait > 0, `retryAfterMs is ${shown(wait)}`)
      await new Promise((resolve) => setTimeout(resolve, wait + TOLD_MS))
      client.send({ type: 'ping', id: 'later' })
      expectFields(await client.answer('later'), { type: 'pong' }, 'the answer')
    },
  ),
  check('another client does not feel it', async (visit) => {
    const [client, other] = [await visit.connect(), await visit.connect()]
    for (let n = 0; n < FLOOD; n++) client.send({ type: 'ping' })
    await other.expectNothing('to a client that sends little')
  }),
])

export const silence = section('Silence', [
  check('the server pings every `pingIntervalMs`', async (visit) => {
    const client = await visit.connect()
    const interval = Number(client.welcome.pingIntervalMs)
    if (interval > PATIENCE_MS) throw new Skip(`that is ${interval} ms, and longer than what is waited for`)
    await client.heard('ping', interval + visit.target.timeoutMs)
    await client.heard('ping', interval + visit.target.timeoutMs)
  }),
])

// docs/asyncapi.json is of these schemas, valid, and says what a server really sends.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import t from 'tap'
import type { z } from 'zod'
import { specs, specText } from '../../scripts/specs.ts'
import { toClient } from '../../src/protocol/outbound.ts'
import type { ToClient } from '../../src/protocol/wire.ts'
import { connect, type Envelope } from '../support/client.ts'
import { startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

/** Does not compile when wire.ts has an envelope that is none of the schemas'. */
type Described<One extends z.input<(typeof toClient)[ToClient['type']]> = ToClient> = One
const types = Object.keys(toClient) as Described['type'][]

t.test('the committed documents are those of the schemas', async (t) => {
  for (const [path, spec] of Object.entries(specs))
    t.equal(readFileSync(path, 'utf8'), specText(spec), `${path}: npm run specs`)
})

t.test('the AsyncAPI document is valid', async (t) => {
  const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json') as object
  const ajv = new Ajv({ strict: false, logger: false })
  addFormats.default(ajv)
  const validate = ajv.compile(schema)
  const document = specs['docs/asyncapi.json'] as { info: object; components: { messages: object } }
  t.ok(validate(document), JSON.stringify(validate.errors))
  t.notOk(validate({ ...document, info: {} }), 'and the validator sees faults')
  // What it says of a message can be used as JSON Schema.
  for (const [name, { payload }] of Object.entries(document.components.messages))
    t.doesNotThrow(() => ajv.compile(payload), name)
})

t.test('what a server sends is as described', async (t) => {
  const server = await startServer({
    ROOM_RULES: '[{"match":"team","presence":{"intervalMs":10,"lingerMs":0}}]',
    HISTORY_SIZE: '5',
  })
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada', { info: { name: 'Ada' }, rooms: ['a'] })
  const { received: seen } = ada
  await ada.request({ type: 'join', room: 'team', presence: true, last: 3 })
  const { epoch, offset } = await ada.request({ type: 'join', room: 'a' })
  for (const n of [1, 2]) await ada.publish('a', { n })
  await ada.request({ type: 'message', room: 'a', content: 1, key: 'k' })
  await ada.request({ type: 'message', room: 'a', content: 1, key: 'k' })
  await ada.request({ type: 'join', room: 'a', since: { epoch, offset } })
  await ada.request({ type: 'join', room: 'a', since: { epoch: 'gone', offset: 7 } })
  await ada.request({ type: 'history', room: 'a', limit: 2 })
  await ada.request({ type: 'presence', room: 'team' })
  await ada.request({ type: 'refresh', token: tokenFor('ada', { info: { name: 'A.' } }) })
  for (const type of ['ping', 'call', 'what']) await ada.request({ type, method: 'none' } as Envelope)
  const bob = await connect(server, 'bob')
  await bob.join('team')
  const isTold = (field: string) =>
    seen.some(({ type, [field]: users }) => type === 'member' && JSON.stringify(users)?.includes('bob'))
  await pollUntil('bob is here', () => isTold('entered'))
  await bob.request({ type: 'leave', room: 'team' })
  await bob.publish(undefined, 'to all')
  await pollUntil('bob has left', () => isTold('left'))
  await ada.request({ type: 'leave', room: 'a' })
  server.signal('SIGTERM')
  await pollUntil('closing', () => seen.some(({ type }) => type === 'closing'))
  for (const envelope of seen) {
    const { success, error } = toClient[envelope.type as ToClient['type']].safeParse(envelope)
    t.ok(success, `${JSON.stringify(envelope)}: ${error?.message}`)
  }
  const told = new Set(seen.map(({ type }) => type))
  t.strictSame(
    types.filter((type) => !told.has(type)),
    // Of a host's code, and of faults.
    ['result', 'reset', 'dropped'],
  )
  await bob.close()
})

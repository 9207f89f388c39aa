import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import {
  type OutgoingMessage,
  PAYLOAD_MESSAGES,
  payloadHeader,
  readPayload,
} from '../../src/bridge/redis-payload.ts'

const message: fc.Arbitrary<OutgoingMessage> = fc.record({
  sequence: fc.nat(),
  exclude: fc.option(fc.stringMatching(/^[\w-]{2,22}$/), { nil: undefined }),
  mark: fc.option(fc.stringMatching(/^[\w-]{16}$/), { nil: undefined }),
  head: fc.string({ unit: 'binary', maxLength: 200 }).map((text) => Buffer.from(`{"content":"${text}"`)),
})
const node = fc.stringMatching(/^[\w-]{1,12}$/)
const some = fc.array(message, { minLength: 1, maxLength: 64 })
const offsets = fc.option(fc.integer({ min: 1, max: 1e12 }), { nil: undefined })

/** The payload as the script makes it: with offsets from `first` on, or none; `repeats` are indices. */
function payload(
  from: string,
  messages: readonly OutgoingMessage[],
  first: number | undefined,
  repeats: readonly number[] = [],
): Buffer {
  let offset = first
  const texts = messages.map(({ head }, index) => {
    if (offset === undefined || repeats.includes(index)) return Buffer.concat([head, Buffer.from('}')])
    return Buffer.concat([head, Buffer.from(`,"offset":${offset++}}`)])
  })
  const given = `${first === undefined ? '- -' : `epoch ${first}`} ${repeats.join(',') || '-'}`
  return Buffer.concat([Buffer.from(`${payloadHeader(from, messages)} ${given}\n`), ...texts])
}

t.test('what a node sends is what a node reads, without the repeats', async (t) => {
  fc.assert(
    fc.property(node, some, offsets, fc.infiniteStream(fc.boolean()), (from, messages, first, coin) => {
      const repeats = messages.flatMap((_, index) => (coin.next().value ? [index] : []))
      const read = readPayload(payload(from, messages, first, repeats), 10_000)
      const fresh = messages.filter((_, index) => !repeats.includes(index))
      fc.pre(fresh.length > 0)
      t.equal(read?.node, from)
      t.strictSame(
        read?.messages.map(({ text, ...rest }) => ({ ...rest, text: String(text) })),
        fresh.map(({ sequence, exclude, head, mark }, index) => {
          const offset = first === undefined ? undefined : first + index
          const tail = offset === undefined ? '}' : `,"offset":${offset}}`
          const position = offset === undefined ? undefined : { epoch: 'epoch', offset }
          return {
            sequence,
            exclude,
            mark,
            position,
            text: `${head}${tail}`,
          }
        }),
      )
    }),
  )
})

t.test(
  'what nodes of before marks have published is read, and what is published now is read by them',
  async (t) => {
    const before = '2 n 7:client:2,8:-:2'
    const checksum = crc32('{}', crc32('{"', crc32(before))).toString(36)
    const bytes = Buffer.from(`${before} ${checksum} e 5 -\n{","offset":5}{},"offset":6}`)
    t.match(readPayload(bytes, 100)?.messages, [
      { sequence: 7, exclude: 'client', mark: undefined, position: { epoch: 'e', offset: 5 } },
      { sequence: 8, exclude: undefined, mark: undefined, position: { epoch: 'e', offset: 6 } },
    ])
    const marked: OutgoingMessage = { sequence: 1, exclude: 'c', mark: 'm', head: Buffer.from('{') }
    const [, , list] = payloadHeader('n', [marked, { ...marked, exclude: undefined }]).split(' ')
    // The grammar of then.
    t.ok(
      list?.split(',').every((entry) => /^(\d+):([^:]+):(\d+)$/.test(entry)),
      String(list),
    )
  },
)

t.test('a payload that was changed anywhere but in its epoch is not read', async (t) => {
  fc.assert(
    fc.property(node, some, fc.nat(), fc.integer({ min: 1, max: 255 }), (from, messages, at, change) => {
      const bytes = payload(from, messages, 5)
      const epochAt = bytes.indexOf(' epoch ')
      const index = at % bytes.length
      fc.pre(index < epochAt || index > epochAt + 6)
      bytes[index] = (bytes[index] as number) ^ change
      t.equal(readPayload(bytes, 10_000), undefined)
    }),
  )
})

t.test('a payload that was cut or has more behind it is not read', async (t) => {
  fc.assert(
    fc.property(node, some, offsets, fc.nat(), (from, messages, first, at) => {
      const bytes = payload(from, messages, first)
      t.equal(readPayload(bytes.subarray(0, at % bytes.length), 10_000), undefined)
      t.equal(readPayload(Buffer.concat([bytes, Buffer.from('}')]), 10_000), undefined)
    }),
  )
})

t.test('no header of the right form makes it throw, or read what the payload does not have', async () => {
  const number = fc.oneof(
    fc.nat(40).map(String),
    fc.constantFrom('', '-5', '1e3', '0x10', '9'.repeat(16), 'NaN'),
  )
  const entry = fc
    .tuple(number, fc.constantFrom('-', 'client', '', ':'), number)
    .map((parts) => parts.join(':'))
  const list = fc.array(entry, { minLength: 1, maxLength: 70 }).map((entries) => entries.join(','))
  const given = fc.constantFrom('- - -', 'e 1 -', 'e 1 0', '- - 0,1', 'e - -', 'e 1 x', '- - ')
  fc.assert(
    fc.property(
      list,
      given,
      fc.string({ unit: fc.constantFrom('{', '}', ',', 'a'), maxLength: 60 }),
      (words, rest, body) => {
        const checksum = crc32(body.slice(0, -1), crc32(`2 n ${words}`)).toString(36)
        const bytes = Buffer.from(`2 n ${words} ${checksum} ${rest}\n${body}`)
        const read = readPayload(bytes, 10_000)
        const length = read?.messages.reduce((sum, { text }) => sum + text.length, 0) ?? 0
        return length <= body.length
      },
    ),
    { numRuns: 3000 },
  )
})

t.test('one message too many is one payload too many', async (t) => {
  const one: OutgoingMessage = { sequence: 1, exclude: undefined, mark: undefined, head: Buffer.from('{') }
  t.ok(readPayload(payload('n', Array(PAYLOAD_MESSAGES).fill(one), 1), 100))
  t.equal(readPayload(payload('n', Array(PAYLOAD_MESSAGES + 1).fill(one), 1), 100), undefined)
})

t.test('a text beyond the limit is not read, however well sealed', async (t) => {
  const large: OutgoingMessage = {
    sequence: 1,
    exclude: undefined,
    mark: undefined,
    head: Buffer.alloc(1000, 'x'),
  }
  t.ok(readPayload(payload('n', [large], undefined), 1001))
  t.equal(readPayload(payload('n', [large], undefined), 1000), undefined)
  const small = { ...large, sequence: 2, head: Buffer.from('{') }
  t.match(
    readPayload(payload('n', [large, small], 7), 1000)?.messages,
    [{ sequence: 2, position: { offset: 8 } }],
    'and takes no others with it',
  )
})

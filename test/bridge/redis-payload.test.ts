import fc from 'fast-check'
import t from 'tap'
import { type OutgoingMessage, payloadHeader, readPayload } from '../../src/bridge/redis-payload.ts'

const message: fc.Arbitrary<OutgoingMessage> = fc.record({
  sequence: fc.nat(),
  exclude: fc.option(fc.stringMatching(/^[\w-]{2,22}$/), { nil: undefined }),
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
      t.equal(read?.node, from)
      t.strictSame(
        read?.messages.map(({ text, ...rest }) => ({ ...rest, text: String(text) })),
        fresh.map(({ sequence, exclude, head }, index) => {
          const offset = first === undefined ? undefined : first + index
          const tail = offset === undefined ? '}' : `,"offset":${offset}}`
          const position = offset === undefined ? undefined : { epoch: 'epoch', offset }
          return { sequence, exclude, position, text: `${head}${tail}` }
        }),
      )
    }),
  )
})

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

t.test('no bytes at all make it throw', async () => {
  const words = fc.oneof(
    fc.constantFrom('2', 'node', '-', '1', ':', '1:-:5', '1:-:-5', '1:-:1e9', ',', '\n', '}', '-1', ' '),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(words, { maxLength: 20 }), (parts) => {
      readPayload(Buffer.from(parts.join(' ')), 10_000)
      readPayload(Buffer.from(`2 ${parts.join('')}\n`), 10_000)
    }),
    { numRuns: 2000 },
  )
})

t.test('a text beyond the limit is not read, however well sealed', async (t) => {
  const large: OutgoingMessage = { sequence: 1, exclude: undefined, head: Buffer.alloc(1000, 'x') }
  t.ok(readPayload(payload('n', [large], undefined), 1001))
  t.equal(readPayload(payload('n', [large], undefined), 1000), undefined)
})

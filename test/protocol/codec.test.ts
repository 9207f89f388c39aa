import fc from 'fast-check'
import t from 'tap'
import { decode, messageHead, messageText } from '../../src/protocol/codec.ts'
import { sliceValue } from '../../src/protocol/content-slice.ts'
import { isRoomName } from '../../src/protocol/envelope.ts'
import { decodePositions, encodePositions, POSITIONS_MAX_CHARS } from '../../src/protocol/positions.ts'

/** Writes a value as JSON in one of its many spellings: white space, escaped keys and characters, repeated keys. */
function spelled(value: unknown, random: () => number): string {
  const space = () => ['', '', ' ', '\n', '\t\r '][Math.floor(random() * 5)] as string
  const text = (string: string) =>
    `"${[
      ...JSON.stringify(string)
        .slice(1, -1)
        .matchAll(/\\u[0-9a-f]{4}|\\.|[^\\]/gsu),
    ]
      .map(([c]) =>
        c.length === 1 && random() < 0.2 ? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}` : c,
      )
      .join('')}"`
  const write = (part: unknown): string => {
    if (typeof part === 'string') return text(part)
    if (Array.isArray(part)) return `[${space()}${part.map(write).join(`${space()},${space()}`)}${space()}]`
    if (typeof part === 'object' && part !== null) {
      const entries = Object.entries(part).flatMap(([key, inner]) =>
        random() < 0.15 ? [[key, 'shadowed'] as const, [key, inner] as const] : [[key, inner] as const],
      )
      return `{${space()}${entries.map(([key, inner]) => `${text(key)}${space()}:${space()}${write(inner)}`).join(`,${space()}`)}}`
    }
    return JSON.stringify(part)
  }
  return space() + write(value) + space()
}

const anyJson = fc.jsonValue({ maxDepth: 5 })
const anyObject = fc.dictionary(
  fc.oneof(
    fc.constantFrom('content', 'contenT', 'a', '__proto__', 'room', '"', '\\', 'a"content":'),
    fc.string(),
  ),
  anyJson,
)

t.test('the content slice agrees with JSON.parse, however the object is spelled', async () => {
  fc.assert(
    fc.property(anyObject, fc.infiniteStream(fc.nat({ max: 999 })), (object, stream) => {
      const text = spelled(object, () => (stream.next().value as number) / 1000)
      const parsed = JSON.parse(text)
      return ['content', 'a'].every((key) => {
        const slice = sliceValue(text, key, 1000)
        if (slice.tooDeep) return false
        if (!Object.hasOwn(parsed, key)) return slice.value === undefined
        const value = slice.value as string
        return text.includes(value) && JSON.stringify(JSON.parse(value)) === JSON.stringify(parsed[key])
      })
    }),
    { numRuns: 3000 },
  )
})

t.test('the content slice holds the very characters that were sent', async (t) => {
  const cases = [
    '9007199254740993',
    '1e400',
    '-0',
    '1.0',
    '"\\ud83d"',
    '"a\\u0000b"',
    '{"a":1,"a":2}',
    '[ 1 , 2 ]',
    'null',
    '""',
  ]
  for (const content of cases) {
    t.equal(sliceOf(`{"type":"message","content":${content},"room":"r"}`), content)
    t.equal(sliceOf(`{"content" : ${content} }`), content)
    t.equal(sliceOf(`{"\\u0063ontent":${content}}`), content)
    t.equal(sliceOf(`{"content":7,"x":{"content":8},"content":${content}}`), content)
  }
  t.equal(sliceOf('{"x":{"content":8}}'), undefined)
  t.equal(sliceOf('{"x":"\\\\","y":"\\"content\\":1"}'), undefined)
})

function sliceOf(text: string): string | undefined {
  const slice = sliceValue(text, 'content', 64)
  return slice.tooDeep ? undefined : slice.value
}

t.test('nesting counts the object itself and every container on the way down', async (t) => {
  const isTooDeep = (text: string, maxNesting: number) => sliceValue(text, 'content', maxNesting).tooDeep
  const nested = (depth: number) => `{"content":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  t.equal(isTooDeep(nested(8), 8), false)
  t.equal(isTooDeep(nested(9), 8), true)
  t.equal(isTooDeep('{"a":[1],"b":[2],"content":{"c":{}}}', 3), false)
  t.equal(isTooDeep(`{"content":1,"deep":${'{"a":'.repeat(250_000)}1${'}'.repeat(250_000)}}`, 64), true)
})

t.test('decode answers anything at all, and never throws', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.json().map((json) => `{"type":"message","content":${json}}`),
      ),
      (text) => {
        const decoded = decode(text, 16)
        return decoded.ok ? decoded.request.type !== undefined : decoded.error.type === 'error'
      },
    ),
    { numRuns: 2000 },
  )
  const types = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'JOIN', '']
  for (const type of types) {
    const decoded = decode(JSON.stringify({ type, room: 'r', id: 4 }), 16)
    t.match(decoded, { ok: false, error: { code: 'unknown_type', id: 4 } })
  }
})

t.test('an error carries the id of its request whenever that id is one', async (t) => {
  t.match(decode('{"type":"join","id":"a"}', 16), { ok: false, error: { code: 'bad_envelope', id: 'a' } })
  t.match(decode('{"type":"join","id":7,"room":""}', 16), { ok: false, error: { code: 'bad_room', id: 7 } })
  t.match(decode('{"type":"message","id":7,"room":"r"}', 16), {
    ok: false,
    error: { code: 'bad_envelope', id: 7 },
  })
  for (const id of ['{}', '""', '1.5', '9007199254740993', 'null', `"${'x'.repeat(65)}"`]) {
    const decoded = decode(`{"type":"ping","id":${id}}`, 16)
    t.match(decoded, { ok: false, error: { code: 'bad_envelope' } }, id)
    t.notOk('id' in (decoded as unknown as { error: object }).error)
  }
})

t.test('room names are 1 to 128 bytes of UTF-8 without control characters', async (t) => {
  for (const name of [
    'x',
    ' ',
    'x ',
    '__proto__',
    '*',
    'é',
    'e\u0301',
    'x'.repeat(128),
    '€'.repeat(42),
    '\u{1f600}',
  ]) {
    t.ok(isRoomName(name), JSON.stringify(name))
  }
  for (const name of [
    '',
    'x'.repeat(129),
    '€'.repeat(43),
    'a\nb',
    '\u0000',
    '\u007f',
    '\u0085',
    '\ud83d',
    'a\udc00b',
  ]) {
    t.notOk(isRoomName(name), JSON.stringify(name))
  }
})

t.test('a message text is valid JSON that holds the content as it was sent', async () => {
  fc.assert(
    fc.property(fc.string(), anyJson, fc.option(fc.nat()), (room, content, offset) => {
      const head = messageHead(room, JSON.stringify(content), { client: 'c', user: 'ü"\\' }, 5)
      const text = messageText(head, offset ?? undefined)
      const expected = { type: 'message', room, content, from: { client: 'c', user: 'ü"\\' }, at: 5 }
      return (
        text.includes(`"content":${JSON.stringify(content)},`) &&
        JSON.stringify(JSON.parse(text)) ===
          JSON.stringify(offset === null ? expected : { ...expected, offset })
      )
    }),
    { numRuns: 300 },
  )
})

t.test('positions of rooms go through their text, whoever writes it', async (t) => {
  const room = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter(isRoomName)
  const position = fc.record({ epoch: fc.string({ minLength: 1, maxLength: 64 }), offset: fc.nat() })
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(room, position), { selector: ([name]) => name }), (entries) => {
      const list = entries.map(([name, { epoch, offset }]) => [name, epoch, offset])
      const byOthers = Buffer.from(JSON.stringify(list)).toString('base64url')
      const text = encodePositions(entries)
      if (Math.max(text.length, byOthers.length) > POSITIONS_MAX_CHARS) return true
      const read = [text, byOthers].map((one) => JSON.stringify([...(decodePositions(one) ?? [])]))
      return /^[\w-]+$/.test(text) && read.every((one) => one === JSON.stringify(entries))
    }),
    { numRuns: 300 },
  )
  const padded = Buffer.from('[["r","e",10]]').toString('base64').replace('+', '-').replace('/', '_')
  t.same([...(decodePositions(padded) ?? [])], [['r', { epoch: 'e', offset: 10 }]], 'padding is no fault')
})

t.test('no text of positions throws', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String(), fc.anything()), (text) => {
      const read = decodePositions(text)
      return read === undefined || read instanceof Map
    }),
    { numRuns: 500 },
  )
})

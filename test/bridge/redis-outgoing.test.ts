import fc from 'fast-check'
import t from 'tap'
import { Flights } from '../../src/bridge/redis-flights.ts'
import { Outgoing } from '../../src/bridge/redis-outgoing.ts'
import { PAYLOAD_BYTES, PAYLOAD_MESSAGES } from '../../src/bridge/redis-payload.ts'
import { Distribution } from '../../src/distribution.ts'

const publishes = fc.array(
  fc.record({
    room: fc.constantFrom('a', 'b', undefined),
    size: fc.oneof({ weight: 9, arbitrary: fc.nat(100) }, fc.constant(PAYLOAD_BYTES / 2)),
    isKept: fc.boolean(),
    goes: fc.boolean(),
  }),
  { maxLength: 300 },
)

/** 1, 2, 3, … */
function counter(): () => number {
  let count = 0
  return () => ++count
}

const kept = { size: 1, ttlMs: 1000, maxBytes: 1000 }

t.test('batches keep the order of all publishes, one room each, and are bounded', async (t) => {
  fc.assert(
    fc.property(publishes, (all) => {
      const outgoing = new Outgoing()
      const flights = new Flights(counter(), new Distribution([]), () => {})
      const begun = all.map(({ room, size, isKept }) => {
        const history = isKept ? kept : undefined
        const publication = { room, head: 'x'.repeat(size), exclude: undefined, once: undefined, history }
        const flight = flights.begin(
          publication,
          { mark: undefined, isRepeat: false, isOneWay: false },
          () => {},
        )
        outgoing.add(flight)
        return flight
      })
      const going = new Set(begun.filter((_, index) => all[index]?.goes))
      const batches = outgoing.take((flight) => going.has(flight))
      t.strictSame(
        batches.flatMap(({ flights }) => flights.map(({ sequence }) => sequence)),
        [...going].map(({ sequence }) => sequence),
      )
      for (const { room, history, flights } of batches) {
        t.ok(flights.length > 0 && flights.length <= PAYLOAD_MESSAGES)
        t.ok(flights.every(({ publication }) => publication.room === room && publication.history === history))
        const allButLast = flights.slice(0, -1).reduce((bytes, { head }) => bytes + head.length, 0)
        t.ok(allButLast < PAYLOAD_BYTES)
      }
      t.strictSame(
        outgoing.take(() => true),
        [],
        'taken once',
      )
    }),
    { numRuns: 200 },
  )
})

t.test('a run of one room goes together', async (t) => {
  const outgoing = new Outgoing()
  const flights = new Flights(counter(), new Distribution([]), () => {})
  for (const room of ['a', 'a', 'a', 'b', 'a', 'a']) {
    const publication = { room, head: '{', exclude: undefined, once: undefined, history: undefined }
    outgoing.add(flights.begin(publication, { mark: undefined, isRepeat: false, isOneWay: false }, () => {}))
  }
  t.strictSame(
    outgoing.take(() => true).map(({ room, flights }) => [room, flights.length]),
    [
      ['a', 3],
      ['b', 1],
      ['a', 2],
    ],
  )
})

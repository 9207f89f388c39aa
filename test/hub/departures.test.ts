import t from 'tap'
import type { Client } from '../../src/hub/client.ts'
import { Departures } from '../../src/hub/departures.ts'

const clientIn = (rooms: number) =>
  ({ rooms: new Set(Array.from({ length: rooms }, (_, n) => `room ${n}`)) }) as Client

t.test('few memberships end at once, a hundred thousand over many turns', async (t) => {
  let left = 0
  const departures = new Departures((client, room) => {
    if (client.rooms.delete(room)) left++
  })
  departures.add(clientIn(10))
  t.equal(left, 10)
  for (let n = 0; n < 100; n++) departures.add(clientIn(1000))
  t.ok(left <= 1000, `${left} in the first turn`)
  while (left < 100_010) {
    const before = left
    await new Promise((resolve) => setImmediate(resolve))
    t.ok(left - before <= 1000 && left > before, `${left - before} in a turn`)
  }
  departures.add(clientIn(3))
  t.equal(left, 100_013, 'and then at once again')
})

t.test('one that has somebody else go meanwhile loses nobody', async (t) => {
  let left = 0
  const other = clientIn(5)
  const departures: Departures = new Departures((client, room) => {
    if (left === 0) departures.add(other)
    if (client.rooms.delete(room)) left++
  })
  departures.add(clientIn(5))
  t.equal(left, 10)
  t.equal(other.rooms.size, 0)
})

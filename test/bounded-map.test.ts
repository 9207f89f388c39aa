import t from 'tap'
import { BoundedMap } from '../src/bounded-map.ts'

t.test('beyond its bound the entry that was set first is forgotten', async (t) => {
  const map = new BoundedMap<string, number>(3)
  map.set('a', 1).set('b', 2).set('c', 3)
  map.set('a', 4)
  t.strictSame(
    [...map],
    [
      ['b', 2],
      ['c', 3],
      ['a', 4],
    ],
  )
  map.set('d', 5)
  t.strictSame([...map.keys()], ['c', 'a', 'd'])
})

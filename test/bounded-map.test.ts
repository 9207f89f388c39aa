import fc from 'fast-check'
import t from 'tap'
import { BoundedMap } from '../src/bounded-map.ts'

t.test('it keeps the newest, between half of its bound and all of it', async () => {
  const step = fc.record({ key: fc.nat(12), isDelete: fc.boolean() })
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 9 }), fc.array(step, { maxLength: 60 }), (max, steps) => {
      const map = new BoundedMap<number, number>(max)
      // The same without a bound, newest last.
      let all: [number, number][] = []
      for (const [at, { key, isDelete }] of steps.entries()) {
        all = all.filter(([other]) => other !== key)
        if (isDelete) {
          map.delete(key)
          continue
        }
        map.set(key, at)
        all.push([key, at])
        const kept = [...map]
        if (kept.length > max || JSON.stringify(all.slice(-kept.length)) !== JSON.stringify(kept))
          return false
        if (!kept.every(([key, value]) => map.has(key) && map.get(key) === value)) return false
      }
      return true
    }),
  )
})

t.test('without deletions half of the bound is always there', async (t) => {
  const map = new BoundedMap<number, number>(100)
  for (let n = 0; n < 1000; n++) {
    map.set(n, n)
    for (let back = 0; back < Math.min(50, n + 1); back++)
      if (!map.has(n - back)) t.fail(`${n - back} at ${n}`)
  }
  t.ok(map.has(999))
  t.notOk(map.has(899))
})

t.test('it keeps within its bytes too, and does not take what is larger than half of them', async () => {
  const bound = { entries: 1000, bytes: 100, bytesOf: (_key: number, size: number) => size }
  const step = fc.record({ key: fc.nat(12), size: fc.integer({ min: 1, max: 60 }), isDelete: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const map = new BoundedMap<number, number>(bound)
      for (const { key, size, isDelete } of steps) {
        if (isDelete) map.delete(key)
        else map.set(key, size)
        if (map.has(key) === (isDelete || size > 50)) return false
        let bytes = 0
        for (const [, kept] of map) bytes += kept
        if (bytes > 100) return false
      }
      return true
    }),
  )
})

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

// The revocations that a node remembers: which hold, how long, and how many.
import fc from 'fast-check'
import t from 'tap'
import { Revocations, revocationName, revokedOf } from '../../src/auth/revocations.ts'
import { textEntryBytes } from '../../src/bounded-map.ts'
import type { Note } from '../../src/bridge/bridge.ts'
import { heldBytes } from '../support/held-bytes.ts'

const text = fc.oneof(
  fc.constantFrom('a', 'b', '__proto__', 'user:a', 'x:y\n'),
  fc.string({ minLength: 1, maxLength: 40 }),
)
const whose = fc.oneof(
  text.map((user) => ({ user })),
  text.map((jti) => ({ jti })),
)
const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ whose, value: fc.nat(20), untilMs: fc.nat(100), isKept: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ sweepAtMs: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.constant({ isLost: true as const }) },
  ),
  { maxLength: 60 },
)

t.test(
  'in any order of events: what is known holds, within the bound, and is kept until it has ended',
  async (t) => {
    const maxBytes = 8 * textEntryBytes('user:1234')
    fc.assert(
      fc.property(steps, (steps) => {
        const revocations = new Revocations(maxBytes)
        const model = new Map<string, Note & { keptAs: string }>()
        const bytes = () => [...model.keys()].reduce((sum, name) => sum + textEntryBytes(name), 0)
        const keyOf = ({ value, untilMs }: { value: number; untilMs: number }) => `${value} ${untilMs}`
        for (const step of steps) {
          if ('sweepAtMs' in step) {
            revocations.sweep(step.sweepAtMs)
            for (const [name, { untilMs }] of model) if (untilMs <= step.sweepAtMs) model.delete(name)
          } else if ('isLost' in step) {
            revocations.keepAllAgain()
            for (const entry of model.values()) entry.keptAs = ''
          } else {
            const name = revocationName(step.whose)
            const known = model.get(name)
            const fits = known !== undefined || bytes() + textEntryBytes(name) <= maxBytes
            if (revocations.add({ name, value: step.value, untilMs: step.untilMs }, step.isKept) !== fits)
              return false
            if (!fits) continue
            const value = Math.max(step.value, known?.value ?? 0)
            const untilMs = Math.max(step.untilMs, known?.untilMs ?? 0)
            const keptAs =
              step.isKept && keyOf(step) === keyOf({ value, untilMs }) ? keyOf(step) : (known?.keptAs ?? '')
            model.set(name, { name, value, untilMs, keptAs })
          }
          const unkept = [...model.values()]
            .filter((entry) => entry.keptAs !== keyOf(entry))
            .map(({ name }) => name)
          const found = revocations.unkept(1000).map(({ name }) => name)
          if (revocations.size !== model.size || bytes() > maxBytes) return false
          if (JSON.stringify([...unkept].sort()) !== JSON.stringify(found.sort())) return false
          for (const [name, { value }] of model) {
            const of = revokedOf({ name, value, untilMs: 0 })
            if (of === undefined) return false
            if ('jti' in of && !revocations.isRevoked({ user: 'somebody else', jti: of.jti })) return false
            if ('jti' in of) continue
            const is = (issuedAtMs: number) => revocations.isRevoked({ user: of.user, issuedAtMs })
            if (!is(value - 1) || is(value) || !revocations.isRevoked({ user: of.user })) return false
          }
        }
        return true
      }),
      { numRuns: 300 },
    )
    t.pass()
  },
)

t.test('a flood takes no more memory than it may, and the rest is refused', async (t) => {
  const revocations = new Revocations()
  let refused = 0
  const held = heldBytes(() => {
    for (let n = 0; n < 150_000; n++) {
      const name = revocationName({ user: `\u0416${'x'.repeat(200)}${n}` })
      if (!revocations.add({ name, value: n, untilMs: n }, false)) refused++
    }
    return revocations
  })
  t.ok(refused > 0)
  t.ok(held < 40 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
  revocations.sweep(200_000)
  t.equal(revocations.size, 0)
  t.notOk(revocations.isRevoked({ user: 'x' }))
})

// What the chaos run (client/test/long) would find, and what it forgives.
import t from 'tap'
import type { Publish, Tab, View } from './support/chaos-tab.ts'
import { judge } from './support/chaos-verdict.ts'

const acked = (id: string, sentAtMs: number, scope: 'cluster' | 'node' = 'cluster'): Publish => ({
  ...{ id, room: 'r', sentAtMs },
  ack: { scope },
})
const publishes = [acked('1', 10), acked('2', 20), acked('3', 30, 'node')]

function faultsOf(
  { seen = [], ...view }: Partial<Omit<View, 'seen'>> & { seen?: string[] },
  more: Publish[] = [],
  isClosed = false,
): string[] {
  const sightings = seen.map((id) => ({ id }))
  const views = [{ name: 'r', joinedAtMs: 5, seen: sightings, reloadedAtMs: [], ...view }]
  const tab = { name: 'ada', views, publishes: [...publishes, ...more], isClosed }
  return judge([tab as unknown as Tab]).faults
}

t.test('what was acked is seen once, or the reader or the publisher was told', async (t) => {
  t.strictSame(faultsOf({ seen: ['1', '2', '3'] }), [])
  t.strictSame(faultsOf({ seen: ['1', '2'] }), [], 'Redis was away, and its publisher knows')
  t.strictSame(faultsOf({ seen: ['2'] }), ['ada in r: 1 is missing'])
  t.strictSame(faultsOf({ seen: ['2'], reloadedAtMs: [15] }), [], 'its page was loaded anew')
  t.strictSame(
    faultsOf({ seen: ['1'], reloadedAtMs: [15] }),
    ['ada in r: 2 is missing'],
    'but that was before',
  )
  t.strictSame(faultsOf({ seen: ['2'], joinedAtMs: 15 }), [], 'it was not there')
  t.match(faultsOf({ seen: ['1', '2', '2'] }), [/^ada in r: 2 twice/])
  t.strictSame(faultsOf({ seen: ['1'] }, [], true), [], 'its tab is gone')
  t.match(faultsOf({ seen: ['1', '1'] }, [], true), [/^ada in r: 1 twice/])
})

t.test('a promise settles, and tells the truth', async (t) => {
  const failed = (maybeDelivered: boolean) => ({
    ...{ id: '4', room: 'r', sentAtMs: 40 },
    failure: { code: 'lost', maybeDelivered },
  })
  t.match(faultsOf({ seen: ['1', '2'] }, [{ id: '4', room: 'r', sentAtMs: 40 }]), [/4: .* not settled/])
  t.strictSame(faultsOf({ seen: ['1', '2', '4'] }, [failed(true)]), [])
  t.match(faultsOf({ seen: ['1', '2', '4'] }, [failed(false)]), [/4 was said to be undelivered/])
  t.match(faultsOf({ seen: ['1', '2', 'x'] }), [/x was not said there/])
})

t.test('what a lost node had told its own, and was said again elsewhere, is counted by itself', async (t) => {
  const [early, repeat] = [
    { id: '1', client: 'a' },
    { id: '1', offset: 3, client: 'b' },
  ]
  const view = (seen: object[]) => ({ name: 'r', joinedAtMs: 5, seen, reloadedAtMs: [] })
  const verdict = (seen: object[]) =>
    judge([
      { name: 'ada', views: [view(seen)], publishes: [acked('1', 10)], isClosed: true } as unknown as Tab,
    ])
  t.match(verdict([early, repeat]), { faults: [], counts: { repeatedElsewhere: 1 } })
  t.match(verdict([repeat, early]).faults, [/twice/])
  t.match(verdict([early, { ...repeat, client: 'a' }]).faults, [/twice/])
})

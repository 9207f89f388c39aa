// The checker of the chaos test (test/long/chaos.long.ts): a node that keeps the protocol passes, and one that does not
// is found out, whatever it does.
import t, { type Test } from 'tap'
import { check } from '../support/chaos/checker.ts'
import { Crowd } from '../support/chaos/crowd.ts'
import { Dice } from '../support/chaos/dice.ts'
import { planFor, planText } from '../support/chaos/plan.ts'
import { type PlantName, startPlantedNode } from '../support/chaos/planted-node.ts'
import { newRecording } from '../support/chaos/recording.ts'
import { Script } from '../support/chaos/script.ts'
import { pace } from '../support/until.ts'

const CUTS = 8
const CUT_EVERY_MS = 80

/** A crowd on a planted node, whose connections are cut again and again, and what the checker finds. */
async function checked(t: Test, plant: PlantName, little: boolean) {
  const node = await startPlantedNode(plant, { little })
  t.teardown(() => node.close())
  const recording = newRecording(1, 'memory')
  const crowd = new Crowd({
    ...{ seed: 1, recording, persons: 12, rooms: 3, roomsEach: 2, messagesASecond: 200 },
    places: () => [node.place],
  })
  const startMs = performance.now()
  await crowd.begin()
  const dice = new Dice(1)
  for (let n = 0; n < CUTS; n++) {
    await pace(CUT_EVERY_MS)
    for (const person of crowd.persons) if (dice.chance(0.3)) person.cut()
  }
  recording.calmMs = performance.now()
  recording.wholeMs = recording.calmMs
  await crowd.end()
  if (little) {
    const [kind, detail, nodes, endMs] = ['memory is little', '', [], recording.calmMs]
    recording.faults.push({ kind, detail, nodes, isLossy: true, startMs, endMs })
  }
  const verdict = check(recording)
  const counted = (what: string) => verdict.counts.get(what) ?? 0
  t.ok(counted('deliveries') > 200, 'many deliveries are checked')
  return { kinds: new Set(verdict.violations.map(({ kind }) => kind)), counted }
}

const planted: [plant: PlantName, kind: string, isLittle?: boolean][] = [
  ['leaves one out of a recovery', 'hole in a recovery'],
  ['recovers from one too far', 'hole in a recovery'],
  ['leaves out a live message', 'a jump without a fault'],
  ['delivers one twice', 'twice'],
  ['changes the order of two', 'an offset back'],
  ['publishes one twice', 'published twice'],
  ['acks what it has not published', 'a false ack'],
  ['acks for this node alone', 'ack'],
  ['writes numbers anew', 'altered'],
  ['says nothing of a new epoch', 'an offset back', true],
  ['recovers in an epoch that is past', 'hole in a recovery', true],
]

t.test('a node that keeps the protocol passes', async (t) => {
  const { kinds, counted } = await checked(t, 'nothing', false)
  t.strictSame(kinds, new Set())
  t.ok(counted('recovered messages') > 0, 'recoveries are among what is checked')
})

t.test('so does one that often forgets its rooms, and says so', async (t) => {
  const { kinds, counted } = await checked(t, 'nothing', true)
  t.strictSame(kinds, new Set())
  t.ok(counted('resets') > 0, 'new epochs are among what is checked')
})

for (const [plant, kind, isLittle = false] of planted) {
  t.test(`a node that ${plant} is found`, async (t) => {
    const { kinds } = await checked(t, plant, isLittle)
    t.ok(kinds.has(kind), `"${kind}" is among ${[...kinds].join(', ')}`)
  })
}

const e = (offset: number) => ({ epoch: 'e', offset })
const cluster = (offset: number) => ({ scope: 'cluster', offset })
const node = { scope: 'node' }

/** `a` speaks; `b` and `c` listen, `c` on another node. */
const begin = () =>
  new Script().connects('a').connects('b').connects('c', 1).joins('a', e(0)).joins('b', e(0)).joins('c', e(0))

/** What happens, and the kinds that are found in it. */
const scripts: [name: string, script: Script, ...kinds: string[]][] = [
  ['messages in their order', begin().says('a', 'x', cluster(1)).hears('b', 'x', 1).hears('c', 'x', 1)],
  [
    'a recovery that brings what was early',
    begin()
      .suffers(1000)
      .says('a', 'x', node)
      .hears('b', 'x')
      .says('a', 'y', cluster(2))
      .hears('b', 'y', 2)
      .hears('c', 'y', 2)
      .connects('b')
      .joins('b', { ...e(2), recovered: true, missed: 2 }, e(0))
      .hears('b', 'x', 1)
      .hears('b', 'y', 2),
  ],
  [
    'what was early comes again in its place',
    begin().suffers(1000).says('a', 'x', node).hears('b', 'x').hears('b', 'x', 1),
    'twice',
  ],
  [
    'what was early is repeated at another node',
    begin()
      .suffers(1000)
      .says('a', 'x', node, { key: 'k' })
      .hears('b', 'x')
      .connects('a', 1)
      .joins('a', e(0))
      .says('a', 'x', cluster(1), { key: 'k' })
      .hears('b', 'x', 1)
      .hears('c', 'x', 1),
  ],
  [
    'a jump without a fault',
    begin()
      .says('a', 'x', cluster(1))
      .hears('b', 'x', 1)
      .says('a', 'y', cluster(2))
      .hears('b', 'y', 2)
      .hears('c', 'y', 2),
    'a jump without a fault',
  ],
  [
    'a jump in a fault',
    begin()
      .suffers(100)
      .says('a', 'x', cluster(1))
      .hears('b', 'x', 1)
      .says('a', 'y', cluster(2))
      .hears('b', 'y', 2)
      .hears('c', 'y', 2),
  ],
  [
    'an offset of an epoch that nobody told of',
    begin().suffers(1000).joins('b', node).says('a', 'x', cluster(1)).hears('c', 'x', 1).hears('b', 'x', 1),
    'an offset without an epoch',
  ],
  [
    'an offset of the old epoch after a reset',
    begin()
      .suffers(1000, { isLossy: true })
      .says('a', 'x', cluster(1))
      .hears('c', 'x', 1)
      .gets('b', { type: 'reset', room: 'r', epoch: 'f', offset: 0 })
      .hears('b', 'x', 1),
    'published twice',
  ],
  [
    'the same, late and without its offset',
    begin()
      .suffers(1000, { isLossy: true })
      .says('a', 'x', cluster(1))
      .hears('c', 'x', 1)
      .gets('b', { type: 'reset', room: 'r', epoch: 'f', offset: 0 })
      .hears('b', 'x'),
  ],
  [
    'a new epoch although nothing was lost',
    begin().gets('b', { type: 'reset', room: 'r', epoch: 'f', offset: 0 }),
    'a new epoch without a loss',
  ],
  [
    'recovered: true over a hole',
    begin()
      .says('a', 'x', cluster(1))
      .hears('c', 'x', 1)
      .connects('b')
      .joins('b', { ...e(1), recovered: true, missed: 0 }, e(1)),
    'recovered over a hole',
  ],
  [
    'two messages at one offset',
    begin().says('a', 'x', cluster(1)).hears('b', 'x', 1).says('a', 'y', cluster(1)).hears('c', 'y', 1),
    'two messages at one offset',
  ],
  [
    'a sender whose second message is first',
    begin()
      .says('a', 'x', cluster(2))
      .says('a', 'y', cluster(1))
      .hears('b', 'y', 1)
      .hears('b', 'x', 2)
      .hears('c', 'y', 1)
      .hears('c', 'x', 2),
    "a sender's order",
  ],
  [
    'what is acked node does not reach a member of the node',
    begin()
      .rests(5000)
      .suffers(1000)
      .says('a', 'x', node)
      .rests(3000)
      .gets('b', { type: 'pong' })
      .gets('c', { type: 'pong' }),
    'acked node, not delivered',
  ],
  [
    'a key that was forgotten',
    begin()
      .says('a', 'x', undefined, { key: 'k' })
      .hears('b', 'x', 1)
      .connects('a')
      .joins('a', e(1))
      .says('a', 'x', cluster(2), { key: 'k' })
      .hears('c', 'x', 2),
    'published twice',
  ],
  [
    'an answer before that of an earlier request',
    begin()
      .says('a', 'x')
      .joins('a', e(0))
      .gets('a', { type: 'ack', id: 'm4', room: 'r', ...cluster(1) }),
    'answers out of order',
  ],
]

for (const [name, script, ...kinds] of scripts) {
  t.test(`by hand: ${name}`, async (t) => {
    const { violations } = check(script.recording)
    const texts = violations.map(({ kind, text }) => `${kind}: ${text}`)
    if (kinds.length === 0) t.strictSame(texts, [])
    for (const kind of kinds) t.ok(texts.join('\n').includes(`${kind}:`), `${kind}: ${texts.join('; ')}`)
  })
}

t.test('by hand: never whole again', async (t) => {
  const { recording } = begin()
  recording.wholeMs = undefined
  t.strictSame(
    check(recording).violations.map(({ kind }) => kind),
    ['not whole'],
  )
})

t.test('a seed gives the same plan again, and another seed another', async (t) => {
  const plan = (seed: number) => planText(planFor('single', 60, new Dice(seed)))
  t.equal(plan(1), plan(1))
  t.not(plan(1), plan(2))
})

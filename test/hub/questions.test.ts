// Questions to all nodes: answers in parts, nodes that do not answer, and what is none.
import t, { type Test } from 'tap'
import { z } from 'zod'
import type { Bridge, TellListener } from '../../src/bridge/bridge.ts'
import { ANSWER_CHARACTERS } from '../../src/hub/poll.ts'
import { type Question, Questions } from '../../src/hub/questions.ts'

/** Nodes that hear each other at once, unless one is deaf. */
class Network {
  readonly nodes = new Map<string, TellListener>()
  readonly deaf = new Set<string>()
  /** Everything that was told, with to whom. */
  readonly told: { from: string; text: string; to: string | undefined }[] = []
  isAway = false
  /** Each tell comes twice, as through two masters. */
  repeats = 1

  add(t: Test, name: string): Questions {
    const bridge = {
      others: () => [...this.nodes.keys()].filter((node) => node !== name),
      tell: (text: string, to?: string) => this.#tell(name, text, to),
    } as unknown as Bridge
    const questions = new Questions(bridge, { debug() {}, info() {}, warn() {}, error() {} })
    this.nodes.set(name, { hear: (from, text) => questions.hear(from, text), missed() {} })
    t.teardown(() => questions.close())
    return questions
  }

  async #tell(from: string, text: string, to: string | undefined): Promise<'cluster' | 'node'> {
    this.told.push({ from, text, to })
    if (this.isAway) return 'node'
    for (const [name, listener] of this.nodes) {
      if (name === from || this.deaf.has(name) || (to !== undefined && to !== name)) continue
      for (let n = 0; n < this.repeats; n++) listener.hear(from, text)
    }
    return 'cluster'
  }
}

const echo = (carryOut: (asked: string) => unknown): Question<string, unknown> => ({
  kind: 'echo',
  with: z.string(),
  answer: z.string(),
  carryOut,
})

t.test('every node answers, also at length and in any script', async (t) => {
  for (const repeats of [1, 2]) {
    const network = new Network()
    network.repeats = repeats
    const text = `${'\u{1f600}"\\\u0001é'.repeat(15_000)}`
    const one = echo(() => 'one')
    const asker = network.add(t, 'one')
    asker.add(one)
    network.add(t, 'two').add(echo(async (asked) => asked + text))
    network.add(t, 'three').add(echo(() => ''))
    const { scope, answers, nodes } = await asker.ask(one, 'q')
    t.equal(scope, 'cluster')
    t.strictSame(new Set(answers), new Set(['one', '', `q${text}`]))
    t.strictSame(nodes, { asked: 3, answered: 3, missing: [] })
    t.ok(network.told.every(({ text }) => Buffer.byteLength(text) <= 64 * 1024))
    t.ok(
      network.told.every(({ to }, index) => (to === undefined) === (index === 0)),
      'answers go to who asked',
    )
  }
})

t.test(
  'a node that is deaf, fails, says too much or something else, or does not know is missing',
  async (t) => {
    const network = new Network()
    const one = echo(() => 'one')
    const asker = network.add(t, 'one')
    network.add(t, 'deaf')
    network.deaf.add('deaf')
    network.add(t, 'older')
    network.add(t, 'fails').add(
      echo(() => {
        throw new Error('no')
      }),
    )
    network.add(t, 'large').add(echo(() => 'x'.repeat(ANSWER_CHARACTERS)))
    network.add(t, 'odd').add(echo(() => 5))
    network.add(t, 'good').add(echo(() => 'good'))
    const fromMs = performance.now()
    const { answers, nodes } = await asker.ask(one, 'q')
    const tookMs = performance.now() - fromMs
    t.ok(tookMs > 900 && tookMs < 2000, `${tookMs} ms`)
    t.strictSame(answers, ['one', 'good'])
    const missing = ['deaf', 'older', 'fails', 'large', 'odd']
    t.strictSame(nodes, { asked: 7, answered: 2, missing })
    network.deaf.add('good')
    network.isAway = true
    const away = await asker.ask(one, 'q')
    t.match(
      away,
      { scope: 'node', answers: ['one'], nodes: { asked: 7, answered: 1 } },
      'nobody is waited for',
    )
  },
)

t.test('answers that nobody asked for, and parts out of place, are passed over', async (t) => {
  const network = new Network()
  const one = echo(() => 'one')
  const asker = network.add(t, 'one')
  network.nodes.set('two', { hear() {}, missed() {} })
  const asking = asker.ask(one, 'q')
  const say = (from: string, more: object) =>
    asker.hear(from, JSON.stringify({ type: 'answer', id: '1', index: 0, parts: 1, text: '"x"', ...more }))
  say('stranger', {})
  say('two', { id: '2' })
  say('two', { index: 1, parts: 2 })
  say('two', { index: 0, parts: 2, text: '"a' })
  say('two', { index: 0, parts: 2, text: '"a' })
  say('two', { index: 1, parts: 2, text: 'b"' })
  say('two', {})
  t.strictSame(await asking, {
    scope: 'cluster',
    answers: ['one', 'ab'],
    nodes: { asked: 2, answered: 2, missing: [] },
  })
  await t.rejects(
    asker.ask(
      echo(() => {
        throw new Error('mine')
      }),
      'q',
    ),
    /mine/,
  )
})

import t from 'tap'
import { HookBounds, type HookBoundsOptions, Unanswered } from '../../src/hooks/hook-bounds.ts'
import { hookReadings } from '../../src/hooks/hook-readings.ts'
import { Asking, Denial } from '../../src/hooks/hooks.ts'
import { LocalHooks } from '../../src/hooks/local-hooks.ts'

const asker = { client: 'c', user: 'u', info: undefined }

function setUp(options: Partial<HookBoundsOptions> = {}) {
  const log: Record<string, unknown>[] = []
  const add = (fields: object, msg: string) => log.push({ ...fields, msg })
  const clock = { now: 0, steadyMs: () => clock.now, wallMs: () => clock.now }
  const bounds = new HookBounds({
    hookTimeoutMs: 5000,
    hookMaxPending: 10_000,
    hookFail: 'closed',
    log: { debug: add, info: add, warn: add, error: add },
    clock,
    ...options,
  })
  return { bounds, log, clock }
}

t.test('10,000 hooks under way are bounded, end in time, and leave nothing behind', async (t) => {
  const { bounds } = setUp({ hookTimeoutMs: 1000 })
  const signals: AbortSignal[] = []
  const functions = {
    join: ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal)
      return new Promise<undefined>(() => {})
    },
  }
  const hooks = new LocalHooks({ functions, calls: {}, bounds, maxMessageBytes: 1000 })
  const ask = () => hooks.join?.(new Asking(), asker, 'r')
  const answers = Array.from({ length: 10_000 }, ask)
  t.match(ask(), new Denial('unavailable', 'too much is asked at present'), 'one more is not asked')
  t.equal(signals.length, 10_000)
  const settled = await Promise.all(answers)
  t.ok(settled.every((answer) => answer instanceof Denial && answer.code === 'unavailable'))
  t.ok(signals.every(({ aborted }) => aborted))
  const again = ask()
  t.ok(again instanceof Promise, 'and others are asked again')
  await again
})

t.test('a hook that ends its own client, and then hangs, is waited for no more', async (t) => {
  const { bounds } = setUp({ hookTimeoutMs: 50, hookMaxPending: 1 })
  const ask = () => {
    const asking = new Asking()
    return bounds.ask({ hook: 'join', asking, bytes: 1 }, () => {
      asking.end()
      return new Promise<undefined>(() => {})
    })
  }
  t.match(await ask(), { message: 'the client has gone' })
  t.match(await ask(), { message: 'the client has gone' }, 'and others are asked')
})

t.test('so are the bytes that they keep', async (t) => {
  const { bounds } = setUp({ hookTimeoutMs: 50 })
  const MiB = 1024 * 1024
  const ask = (bytes: number) =>
    bounds.ask({ hook: 'publish', asking: new Asking(), bytes }, () => new Promise<undefined>(() => {}))
  const waiting = ask(60 * MiB)
  t.match(ask(5 * MiB), { code: 'unavailable' })
  const other = ask(3 * MiB)
  t.ok(other instanceof Promise)
  await Promise.all([waiting, other])
  t.ok(ask(64 * MiB) instanceof Promise, 'what is given back may be taken again')
})

t.test('what is answered at once is waited for by nobody', async (t) => {
  const { bounds } = setUp({ hookMaxPending: 1 })
  const asking = new Asking()
  t.equal(
    bounds.ask({ hook: 'join', asking, bytes: 1 }, () => 'now'),
    'now',
  )
  t.notOk(asking.isOver)
})

t.test('when the client goes, the question ends at once, and nothing is logged', async (t) => {
  const { bounds, log } = setUp()
  const asking = new Asking()
  const { signal } = asking
  const answer = bounds.ask({ hook: 'call', asking, bytes: 1 }, () => new Promise<string>(() => {}))
  asking.end()
  t.match(await answer, { code: 'unavailable' })
  t.ok(signal.aborted)
  t.ok(asking.signal.aborted)
  t.strictSame(log, [])
})

t.test('failures are a line a second for each hook, with their number', async (t) => {
  const { bounds, log, clock } = setUp()
  const fail = async (hook: 'join' | 'call', error: Error) => {
    await bounds.ask({ hook, asking: new Asking(), bytes: 1 }, () => Promise.reject(error))
  }
  for (let n = 0; n < 5; n++) await fail('join', new Unanswered('status 500'))
  await fail('call', new Error('no way'))
  clock.now = 1000
  await fail('join', new Unanswered('status 502'))
  t.match(log, [
    { hook: 'join', failures: 1, reason: 'status 500', msg: 'hook failed' },
    { hook: 'call', failures: 1, err: { message: 'no way' } },
    { hook: 'join', failures: 5, reason: 'status 502' },
  ])
  t.equal(log.length, 3)
})

t.test('the metrics say how long hooks took, and what failed', async (t) => {
  const { bounds, clock } = setUp()
  const put = async () => {
    await Promise.resolve()
    clock.now += 30
    return undefined
  }
  await bounds.ask({ hook: 'join', asking: new Asking(), bytes: 1 }, put)
  await bounds.ask({ hook: 'join', asking: new Asking(), bytes: 1 }, () => undefined)
  await bounds.ask({ hook: 'publish', asking: new Asking(), bytes: 1 }, () => Promise.reject(new Error('x')))
  const [times, failures] = hookReadings(bounds)
  t.equal(times?.type, 'histogram')
  const joins = times?.values.filter(({ labels }) => labels.hook === 'join') ?? []
  const upTo = (le: string) => joins.find(({ labels }) => labels.le === le)?.value
  t.strictSame([upTo('0.02'), upTo('0.05'), upTo('+Inf')], [0, 1, 1], 'what is answered at once is not timed')
  t.equal(joins.find(({ metricName }) => metricName?.endsWith('_sum'))?.value, 0.03)
  t.match(failures?.values, [
    { labels: { hook: 'connect' }, value: 0 },
    { value: 0 },
    { labels: { hook: 'publish' }, value: 1 },
  ])
})

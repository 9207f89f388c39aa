// One sender, with a clock and a receiver of the test's own.
import t from 'tap'
import { Distribution } from '../../src/distribution.ts'
import { Unanswered } from '../../src/hooks/hook-bounds.ts'
import { Webhook } from '../../src/webhooks/webhook.ts'
import { pollUntil } from '../support/until.ts'

/** A sender to a receiver that gives these answers, one after another, and then takes everything. */
function sender(answers: (Error | undefined)[], options: { giveUpMs?: number; maxBytes?: number } = {}) {
  const clock = { nowMs: 0, steadyMs: () => clock.nowMs, wallMs: () => clock.nowMs }
  const lines: { msg: string; [field: string]: unknown }[] = []
  const line = (fields: object, msg: string) => lines.push({ ...fields, msg })
  const log = { debug() {}, info: line, warn: line, error: line }
  const bodies: string[] = []
  const backEnd = {
    post: async (body: string) => {
      bodies.push(body)
      clock.nowMs += 40
      const answer = answers.shift()
      if (answer !== undefined) throw answer
      return ''
    },
    close: async () => {},
  }
  const times = new Distribution([50])
  const webhook = new Webhook({
    ...{ backEnd, host: 'h', format: 'json', timeoutMs: 1000, maxBytes: 8192, giveUpMs: 3600_000 },
    ...{ times, clock, log, ...options },
  })
  return { webhook, bodies, lines, times, clock }
}

t.test('who asks for a pause by Retry-After has it', async (t) => {
  const { webhook, bodies, times } = sender([new Unanswered('status 503', 1500)])
  const startMs = performance.now()
  webhook.add('client.connected', '{"n":1}')
  await pollUntil('it is taken', () => webhook.sent === 1)
  t.ok(performance.now() - startMs >= 1499)
  t.equal(bodies.length, 2)
  t.match(times, { count: 2, sum: 80, counts: [2] })
  await webhook.close(0)
})

t.test('a batch that is refused for too long is dropped, counted, and what is behind it goes', async (t) => {
  const { webhook, bodies, lines } = sender([new Unanswered('status 400')], { giveUpMs: 30 })
  webhook.add('client.connected', '{"n":1}')
  await pollUntil('it is asked', () => bodies.length === 1)
  webhook.add('client.disconnected', '{"n":2}')
  await pollUntil('the next is taken', () => webhook.sent === 1)
  t.match(bodies[1], '"n":2')
  t.match(webhook.queue.dropped, { 'client.connected': 1, 'client.disconnected': 0 })
  t.strictSame(lines, [
    { host: 'h', reason: 'status 400', msg: 'webhook failing' },
    { host: 'h', reason: 'refused for too long', msg: 'webhook events dropped' },
    { host: 'h', dropped: 1, msg: 'webhook recovered' },
  ])
  await webhook.close(0)
})

t.test('a full queue is said once, and how many were dropped when the receiver is back', async (t) => {
  const { webhook, lines } = sender([new Unanswered('away')], { maxBytes: 600 })
  for (let n = 0; n < 5; n++) webhook.add('client.connected', `{"n":${n}}`)
  await pollUntil('what was there is taken', () => webhook.sent === 2)
  t.strictSame(
    lines.map(({ msg, dropped }) => [msg, dropped]),
    [
      ['webhook events dropped', undefined],
      ['webhook failing', undefined],
      ['webhook recovered', 3],
    ],
  )
  t.equal(webhook.queue.bytes, 0)
  await webhook.close(0)
})

import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { RoomcastOptions } from '../../src/app.ts'
import { type Asked, HOOK_SECRET, startBackEnd } from '../support/back-end.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { serve } from '../support/hook-contract.ts'
import { startServer } from '../support/server.ts'
import { pollUntil } from '../support/until.ts'

interface Told {
  id: string
  type: string
  client: string
  user: string
  cause?: string
}

/** The signature of each request is verified there, by the library of Standard Webhooks. */
const receiver = (t: Test, answer: (asked: Asked, response: ServerResponse) => unknown) =>
  startBackEnd(t, answer)
const eventsIn = (asked: Asked[]) => asked.flatMap(({ body }) => body.events as Told[])
const telling = (t: Test, webhookUrl: string, options: RoomcastOptions = {}) =>
  serve(t, { webhookUrl, webhookSecret: HOOK_SECRET, ...options })

t.test('a client is told of when it comes and when it goes, in order, with the cause', async (t) => {
  const { url, asked } = await receiver(t, (_asked, response) => response.end())
  const server = await telling(t, url)
  const ada = await connect(server, 'ada')
  await ada.close()
  await pollUntil('both are told', () => eventsIn(asked).length === 2)
  const [came, went] = eventsIn(asked)
  t.match(came, { id: /^evt_/, type: 'client.connected', user: 'ada', node: String, timeMs: Number })
  t.match(went, { type: 'client.disconnected', user: 'ada', client: came?.client, cause: 'peer' })
})

t.test('what failed is sent again, the same with the same id, and before what came later', async (t) => {
  let answers = 0
  const { url, asked } = await receiver(t, (_asked, response) => {
    answers++
    if (answers === 1) response.writeHead(500).end()
    else if (answers === 2) response.destroy()
    else response.end()
  })
  const server = await telling(t, url)
  const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
  await pollUntil(
    'all are told',
    () => new Set(eventsIn(asked).map(({ id }) => id)).size === 2 && answers > 2,
  )
  const [first, second, third] = asked
  t.equal(first?.text, third?.text)
  t.equal(first?.text, second?.text)
  t.equal(first?.request.headers['webhook-id'], third?.request.headers['webhook-id'])
  t.match(
    eventsIn(asked.slice(2)).map(({ user }) => user),
    ['ada', 'bob'],
  )
  const lines = () => server.log.filter(({ msg }) => String(msg).startsWith('webhook'))
  t.match(lines(), [{ msg: 'webhook failing' }], 'one line, however often it fails')
  await Promise.all([ada.close(), bob.close()])
})

t.test(
  'a receiver that hangs or never stops answering holds nobody back, and its queue its bound',
  async (t) => {
    const { url: good, asked } = await receiver(t, (_asked, response) => response.end())
    const { url: hanging } = await receiver(t, () => undefined)
    const { url: endless } = await receiver(t, (_asked, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      }
      response.on('drain', more)
      more()
    })
    const server = await telling(t, `${good} ${hanging} ${endless}`, {
      webhookQueueMaxBytes: 65_536,
      webhookTimeoutMs: 60_000,
      metrics: true,
    })
    const CLIENTS = 60
    for (let n = 0; n < CLIENTS; n++) await (await connect(server, `user-${n}`)).close()
    await pollUntil('the good one is told of all', () => eventsIn(asked).length === CLIENTS * 2)
    const users = eventsIn(asked).filter(({ type }) => type === 'client.connected')
    t.strictSame(
      users.map(({ user }) => user),
      Array.from({ length: CLIENTS }, (_, n) => `user-${n}`),
      'in order',
    )
    const metrics = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
    const figure = (name: string) =>
      Number(new RegExp(`^roomcast_webhook_${name} (\\S+)`, 'm').exec(metrics)?.[1])
    t.equal(figure('events_sent_total'), CLIENTS * 2)
    t.ok(figure('failures_total') > 0, 'too long an answer is a failure')
    t.ok(
      figure('queue_bytes') > 0 && figure('queue_bytes') <= 2 * 65_536,
      `${figure('queue_bytes')} bytes wait`,
    )
  },
)

t.test('the log says what is wrong with a receiver: it hangs, or nobody is there', async (t) => {
  const { url } = await receiver(t, () => undefined)
  const gone = `http://127.0.0.1:${await freePort()}/`
  for (const [webhookUrl, reason] of [
    [url, 'no answer within 50 ms'],
    [gone, 'ECONNREFUSED'],
  ] as const) {
    const server = await telling(t, webhookUrl, { webhookTimeoutMs: 50 })
    const ada = await connect(server, 'ada')
    const line = await pollUntil('it is said', () => server.log.find(({ msg }) => msg === 'webhook failing'))
    t.match(line, { reason, host: new URL(webhookUrl).host })
    await ada.close()
  }
})

t.test('CloudEvents: what the specification requires, as a batch', async (t) => {
  const { url, asked } = await receiver(t, (_asked, response) => response.end())
  const server = await telling(t, url, { webhookFormat: 'cloudevents', webhookEvents: 'client.connected' })
  const ada = await connect(server, 'ada')
  await pollUntil('it is told', () => asked.length === 1)
  t.equal(asked[0]?.request.headers['content-type'], 'application/cloudevents-batch+json')
  t.match(asked[0]?.body as unknown, [
    { specversion: '1.0', id: /^evt_/, source: /^\/roomcast\//, type: 'roomcast.client.connected' },
  ])
  t.match(asked[0]?.body as unknown, [{ time: /^\d{4}-.*Z$/, data: { user: 'ada', client: ada.id } }])
  await ada.close()
})

t.test('messages are told of where the rule asks for it, byte for byte and once', async (t) => {
  for (const [webhookFormat, inEvent] of [
    [
      'json',
      /"type":"message",.*"room":"told","from":\{"client":"[^"]+","user":"ada"\},"scope":"cluster","offset":1,"content":\[ 1\.0, 9007199254740993 \]\}/,
    ],
    [
      'cloudevents',
      /"type":"roomcast\.message",.*"data":\{"room":"told",.*"offset":1,"content":\[ 1\.0, 9007199254740993 \]\}\}/,
    ],
  ] as const) {
    const { url, asked } = await receiver(t, (_asked, response) => response.end())
    const rules = { told: { webhook: true } }
    const server = await telling(t, url, { webhookFormat, webhookEvents: 'message', rules })
    const ada = await connect(server, 'ada')
    for (const room of ['told', 'other']) {
      await ada.join(room)
      for (const id of [1, 2])
        ada.send(
          `{"type":"message","room":"${room}","key":"k","id":${id},"content":[ 1.0, 9007199254740993 ]}`,
        )
    }
    await ada.publish('told', 'last')
    const told = () => asked.map(({ text }) => text).join('\n')
    await pollUntil('the last is told', () => told().includes('"last"'))
    t.match(asked[0]?.text, inEvent)
    t.equal(told().match(/"offset"/g)?.length, 2, 'neither the repeat nor another room')
    await ada.close()
  }
})

t.test(
  'a receiver that takes nothing makes no shutdown longer than its grace, and what is lost is said',
  async (t) => {
    const { url } = await receiver(t, () => undefined)
    const server = await startServer({
      ...{ WEBHOOK_URL: url, WEBHOOK_SECRET: HOOK_SECRET },
      ...{ DRAIN_MS: '1500', SHUTDOWN_GRACE_MS: '2000' },
    })
    t.teardown(() => server.stop('SIGKILL'))
    await connect(server, 'ada')
    server.signal('SIGTERM')
    t.equal((await server.exited()).code, 0)
    t.match(
      server.logs.filter(({ level }) => Number(level) >= 40),
      [{ msg: 'webhook events lost at the end', events: 2 }],
    )
    t.ok(
      server.logs.some(({ msg }) => msg === 'stopped'),
      'the close came to its end',
    )
  },
)

t.test('a URL without a secret is refused, and the other way round', async (t) => {
  await t.rejects(serve(t, { webhookUrl: 'http://127.0.0.1:1/' }), { message: /webhookSecret/ })
  await t.rejects(serve(t, { webhookSecret: HOOK_SECRET }), { message: /webhookSecret/ })
})

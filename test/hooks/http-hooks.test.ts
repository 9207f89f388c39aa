import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { RoomcastOptions } from '../../src/app.ts'
import { HOOK_SECRET, startBackEnd } from '../support/back-end.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import {
  type Hooked,
  type Host,
  hookContract,
  type Options,
  type Question,
  serve,
} from '../support/hook-contract.ts'
import { tokenFor } from '../support/token.ts'

/** The host's functions behind a URL. */
async function start(t: Test, host: Host, options: Options = {}): Promise<Hooked> {
  const { url } = await startBackEnd(t, async ({ body }, response) => {
    try {
      response.end(JSON.stringify(await answerOf(host, body)))
    } catch {
      response.writeHead(500).end('no way')
    }
  })
  const hooks = (['connect', 'join', 'publish'] as const).filter((name) => host[name] !== undefined)
  return serve(t, {
    ...options,
    hookUrl: url,
    hookSecret: HOOK_SECRET,
    hooks: (host.calls === undefined ? hooks : [...hooks, 'call']).join(),
  })
}

async function answerOf(
  host: Host,
  question: Question & { hook?: string; method?: string; params?: unknown },
) {
  const { hook, method = '', params } = question
  if (hook !== 'call') return host[hook as 'join']?.(question)
  const { calls = {} } = host
  if (!Object.hasOwn(calls, method)) return { error: 'unknown_method' }
  const result = await calls[method]?.(params, question)
  const isRefusal = typeof result === 'object' && result !== null && Object.keys(result).join() === 'refuse'
  return isRefusal ? result : { result }
}

hookContract('http', { start, thrown: 'unavailable' })

/** A server that asks this back end everything. */
async function askingAll(t: Test, answer: Parameters<typeof startBackEnd>[1], options: Options = {}) {
  const backEnd = await startBackEnd(t, answer)
  const hooked = { hookUrl: backEnd.url, hookSecret: HOOK_SECRET, hooks: 'connect, join, publish, call' }
  return { backEnd, server: await serve(t, { ...hooked, ...options }) }
}

t.test(
  'what is asked is the text that was sent, signed, without the token, on kept connections',
  async (t) => {
    const { backEnd, server } = await askingAll(t, ({ body }, response) => {
      response.end(body.hook === 'call' ? '{ "result" : {"n":9007199254740993, "k":1.0,"k":2} }' : '')
    })
    const claims = { info: { name: 'Ada' }, rooms: ['r'], plan: 'free' }
    const token = tokenFor('ada', claims)
    const ada = await connect(server, 'ada', {}, { token, lines: [`X-Device: phone`, 'Cookie: a=1'] })
    await ada.next('joined')
    const text = '{"n":9007199254740993, "e":1.0e2,"k":1,"k":"\\u0041"}'
    ada.send(`{"type":"message","room":"r","content":${text},"id":1}`)
    await ada.next('ack')
    ada.send(`{"type":"call","method":"m","params":${text},"id":2}`)
    t.match(ada.text(await ada.next('result')), '"result":{"n":9007199254740993, "k":1.0,"k":2}}')
    const [upgrade, ...asked] = backEnd.asked
    t.match(upgrade?.body, {
      hook: 'connect',
      claims: { sub: 'ada', ...claims },
      request: { ip: '127.0.0.1' },
    })
    t.match(upgrade?.body.request, { headers: { 'x-device': 'phone', cookie: 'a=1' }, query: {} })
    const signature = token.split('.')[2] as string
    t.notOk(upgrade?.text.includes(signature), 'the token itself is not sent')
    const whose = `"client":"${ada.id}","user":"ada","info":{"name":"Ada"}`
    t.match(
      asked.map(({ text }) => text),
      [
        `{"hook":"join",${whose},"room":"r"}`,
        `{"hook":"publish",${whose},"room":"r","content":${text}}`,
        `{"hook":"call",${whose},"method":"m","params":${text}}`,
      ],
    )
    t.match(asked[0]?.request, { method: 'POST', url: '/hooks?key=1' })
    t.match(asked[0]?.request.headers, { 'content-type': 'application/json', 'user-agent': /^roomcast\// })
    for (let n = 0; n < 20; n++) await ada.request({ type: 'call', method: 'm' })
    t.ok(backEnd.connections < 4, `one after the other they share ${backEnd.connections} connections`)
    await ada.close()
  },
)

t.test('a back end that misbehaves costs the request that it was asked about', async (t) => {
  const MiB = 1024 * 1024
  let sent = 0
  /** Writes as fast as it is read, for as long as it is. */
  const flood = (response: ServerResponse) => {
    const chunk = Buffer.alloc(MiB, 'x')
    const more = () => {
      while (sent < 100 * MiB && !response.destroyed) {
        sent += MiB
        if (!response.write(chunk)) {
          response.once('drain', more)
          return
        }
      }
      response.end()
    }
    response.write('{"result":"')
    more()
  }
  const deep = (depth: number) => `{"result":${'['.repeat(depth)}${']'.repeat(depth)}}`
  const ways: Record<string, [code: string, answer: (response: ServerResponse) => void]> = {
    hang: ['unavailable', () => {}],
    'hang after the head': ['unavailable', (response) => response.writeHead(200).flushHeaders()],
    'hang in the answer': ['unavailable', (response) => response.write('{"result":')],
    'say no and something else': ['internal', (response) => response.end('{"refuse":"x","result":1}')],
    'close at once': ['unavailable', (response) => response.destroy()],
    'close in the answer': [
      'unavailable',
      (response) => response.writeHead(200, { 'content-length': 100 }).write('{}', () => response.destroy()),
    ],
    'answer 100 MB': ['internal', flood],
    'announce 100 MB': [
      'unavailable',
      (response) => response.writeHead(200, { 'content-length': 100 * MiB }).write('{'),
    ],
    redirect: ['unavailable', (response) => response.writeHead(307, { location: '/other' }).end()],
    'redirect permanently': [
      'unavailable',
      (response) => response.writeHead(308, { location: '/hooks' }).end(),
    ],
    'status 403': ['unavailable', (response) => response.writeHead(403).end('{"result":1}')],
    'status 500': ['unavailable', (response) => response.writeHead(500).end('{"result":1}')],
    HTML: ['internal', (response) => response.end('<!doctype html><title>Login</title>')],
    'half JSON': ['internal', (response) => response.end('{"result":')],
    'no object': ['internal', (response) => response.end('null')],
    'bad UTF-8': ['internal', (response) => response.end(Buffer.from('{"result":"\xff"}', 'latin1'))],
    'deep JSON': ['internal', (response) => response.end(deep(65))],
    'very deep JSON': ['internal', (response) => response.end(deep(200_000))],
    'an error that there is not': ['internal', (response) => response.end('{"error":"oops"}')],
    'not HTTP': ['unavailable', (response) => response.socket?.end('SSH-2.0-OpenSSH\r\n')],
    'large headers': ['unavailable', (response) => response.writeHead(200, { a: 'x'.repeat(MiB) }).end('{}')],
  }
  const { backEnd, server } = await askingAll(
    t,
    ({ body }, response) => {
      const way = ways[String(body.method ?? body.content)]
      if (way === undefined) response.end(body.hook === 'call' ? deep(63) : '{}')
      else way[1](response)
    },
    { hookTimeoutMs: 300 },
  )
  const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
  for (const client of [ada, bob]) await client.join('r')
  for (const [way, [code]] of Object.entries(ways)) {
    const before = backEnd.asked.length
    const called = ada.request({ type: 'call', method: way })
    if (way === 'hang') t.match(await bob.publish('r', 'meanwhile'), { type: 'ack' })
    t.match(await called, { type: 'error', code }, `a call: ${way}`)
    // A content may be all that a result may not.
    const published = await ada.request({ type: 'message', room: 'r', content: way })
    t.match(published, { type: 'error' }, `a publish: ${way}`)
    t.equal(backEnd.asked.length - before, way === 'hang' ? 3 : 2, 'nothing is asked twice, or elsewhere')
    t.match(await ada.request({ type: 'call', method: 'fine' }), { type: 'result' }, `after: ${way}`)
  }
  t.ok(sent < 50 * MiB, `of twice 100 MB, ${sent / MiB} were taken`)
  await ada.publish('r', 'fine')
  const contents = (await bob.collectUntil(({ content }) => content === 'fine')).map(({ content }) => content)
  t.strictSame(contents, ['fine'], 'nothing else was published')
  await Promise.all([ada.close(), bob.close()])
})

t.test('while the back end is down requests are unavailable; they go on when it is back', async (t) => {
  const relay = await startBackEnd(t, (_asked, response) => response.end())
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/hooks?key=1`
  const server = await serve(t, { hookUrl: url, hookSecret: HOOK_SECRET, hooks: 'join' })
  const ada = await connect(server, 'ada')
  t.match(await ada.request({ type: 'join', room: 'r' }), { code: 'unavailable' })
  t.match(server.log, [{ msg: 'hook failed', hook: 'join', failures: 1, reason: 'ECONNREFUSED' }])
  await relay.listen(port)
  t.match(await ada.join('r'), { type: 'joined' })
  await ada.close()
})

t.test('settings that cannot be honoured stop the start', async (t) => {
  const good = { hookUrl: 'http://127.0.0.1:1', hookSecret: HOOK_SECRET, hooks: 'join' }
  const bad: [options: RoomcastOptions, message: RegExp][] = [
    [{ ...good, hookUrl: 'ftp://a' }, /hookUrl: must be a URL/],
    [{ ...good, hookUrl: 'http://a:b@c' }, /hookUrl: must be a URL/],
    [{ ...good, hookSecret: 'short' }, /hookSecret: must be whsec_/],
    [{ ...good, hookSecret: '' }, /hookSecret: must be set/],
    [{ ...good, hooks: 'joins' }, /hooks: must be of connect, join, publish, call/],
    [{ hookUrl: good.hookUrl, hookSecret: HOOK_SECRET }, /hooks: must be set/],
    [{ hooks: 'join' }, /hooks: needs HOOK_URL/],
    [{ hookSecret: HOOK_SECRET }, /hookSecret: needs HOOK_URL/],
    [{ ...good, calls: { a: () => 1 } }, /functions already/],
    [{ hooks: { join: 'yes' } as never }, /hooks.join: must be a function/],
    [{ hooks: { leave: () => {} } as never }, /hooks.leave: no such hook/],
    [{ calls: { a: 1 } as never }, /calls.a: must be a function/],
    [{ calls: { '': () => 1 } }, /1 to 128/],
  ]
  for (const [options, message] of bad) await t.rejects(serve(t, options), { name: 'ConfigError', message })
  await t.resolves(serve(t, good))
})

// Servers that speak nothing of the protocol: the suite says so, and ends.
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import t, { type Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { freePort } from '../support/free-port.ts'
import { runAgainst } from './checked.ts'

const PATIENCE_MS = 30

async function isFound(t: Test, url: string) {
  const report = await runAgainst(url, { timeoutMs: PATIENCE_MS, parallel: 32 })
  t.ok(report.failed > 150, `${report.failed} failed in ${report.ms} ms`)
  t.ok(
    report.passed < 10,
    report.results.flatMap(({ outcome, name }) => (outcome === 'passed' ? name : [])).join(),
  )
  t.equal(
    report.results.every(({ outcome, reason = '' }) => outcome === 'passed' || reason !== ''),
    true,
    'each failure has a reason',
  )
}

function listen(t: Test, server: Server): Promise<string> {
  t.teardown(() => server.close())
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}

t.test('nobody there', async (t) => isFound(t, `http://127.0.0.1:${await freePort()}`))

t.test('one that ends each connection', async (t) => {
  await isFound(
    t,
    await listen(
      t,
      createTcpServer((socket) => socket.destroy()),
    ),
  )
})

t.test('one that never answers', async (t) => {
  const server = createTcpServer((socket) => socket.on('error', () => {}).resume())
  await isFound(t, await listen(t, server))
})

t.test('one that answers with what is no HTTP', async (t) => {
  const server = createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.6\r\n'))
  await isFound(t, await listen(t, server))
})

t.test('a web server that knows one page', async (t) => {
  await isFound(
    t,
    await listen(
      t,
      createServer((_request, answer) => answer.end('<h1>Hello</h1>')),
    ),
  )
})

const greetings: [string, (client: WebSocket) => void][] = [
  ['says nothing', () => {}],
  ['sends no JSON', (client) => client.send('hello')],
  ['sends JSON that is no object', (client) => client.send('null')],
  ['sends binary data', (client) => client.send(Buffer.from('{"type":"welcome"}'))],
  ['sends everything back', (client) => client.on('message', (data) => client.send(String(data)))],
  ['closes at once', (client) => client.close(4000)],
  [
    'knows welcome and nothing else',
    (client) => client.send(JSON.stringify({ type: 'welcome', client: 'c', user: 'u', node: 'n' })),
  ],
]
for (const [what, greet] of greetings) {
  t.test(`a WebSocket server that ${what}`, async (t) => {
    const server = createServer((_request, answer) => answer.writeHead(404).end())
    const websockets = new WebSocketServer({ server })
    websockets.on('connection', (client) => {
      client.on('error', () => {})
      greet(client)
    })
    await isFound(t, await listen(t, server))
    for (const client of websockets.clients) client.terminate()
  })
}

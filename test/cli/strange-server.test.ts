// What a server, or who speaks through one, has the command line print moves no cursor and hides nothing.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { runCli } from '../support/cli.ts'

/** A title, a colour, a C1 control that clears the screen, and text turned round. */
const EVIL = '\u001b]0;x\u0007\u001b[31m\u009b2J\u202e'
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/
const nodes = { asked: 2, answered: 1, missing: [`gone${EVIL}`] }
const answer = {
  ...{ scope: 'cluster', more: false, nodes, offset: `5${EVIL}` },
  cluster: [{ node: EVIL, version: EVIL, uptimeMs: 1, clients: 1, rooms: EVIL, bridge: { kind: EVIL } }],
  rooms: [{ room: `r${EVIL}`, members: `1${EVIL}` }],
  users: [{ user: `u${EVIL}`, clients: EVIL }],
}
const client = { client: EVIL, node: EVIL, transport: EVIL, rooms: [EVIL], connectedAt: 1, drops: EVIL }

async function serve(t: Test, answers: RequestListener, says?: (socket: WebSocket) => void): Promise<string> {
  const server = createServer(answers)
  const sockets = new WebSocketServer({ server }).on('connection', (socket) => says?.(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function showsNothing(t: Test, args: string[], env: Record<string, string>): Promise<void> {
  const { stdout, stderr } = await runCli(t, args, { env })
  t.notMatch(stdout, obeyed, `stdout of ${args.join(' ')}`)
  t.notMatch(stderr, obeyed, `stderr of ${args.join(' ')}`)
}

t.test('answers of the API, and refusals', async (t) => {
  const good = await serve(t, ({ url = '' }, response) => {
    const clients = url.startsWith('/api/v1/users') && !url.endsWith('disconnect') ? [client] : 1
    response.end(JSON.stringify({ ...answer, clients }))
  })
  const bad = await serve(t, (_request, response) => {
    response.writeHead(403).end(JSON.stringify({ code: `c${EVIL}`, detail: `d${EVIL}` }))
  })
  for (const ROOMCAST_URL of [good, bad])
    for (const args of [
      ['stats', '--once'],
      ['rooms'],
      ['rooms', 'x'],
      ['rooms', '--json'],
      ['users', 'x'],
      ['publish', 'x', '1'],
      ['disconnect', 'x'],
    ])
      await showsNothing(t, args, { ROOMCAST_URL, ROOMCAST_API_KEY: 'a-secret-of-somebody' })
})

t.test('what is said in a room, and why one may not be in it', async (t) => {
  const welcome = { type: 'welcome', client: 'c', user: EVIL, node: 'n' }
  const from = { client: 'x', user: `u${EVIL}` }
  const ROOMCAST_URL = await serve(
    t,
    (_request, response) => response.writeHead(401).end(),
    (socket) => {
      socket.send(JSON.stringify({ ...welcome, pingIntervalMs: 20_000, maxMessageBytes: 1000 }))
      socket.on('message', (data) => {
        const { type, id, room } = JSON.parse(data.toString())
        if (type !== 'join') return
        const joined = { type: 'joined', id, room, epoch: 'e', offset: 0 }
        const refused = { type: 'error', id, room, code: 'forbidden', message: `no${EVIL}` }
        socket.send(JSON.stringify(room === 'open' ? joined : refused))
        socket.send(JSON.stringify({ type: 'message', room, content: `hi${EVIL}`, from, at: 1, offset: 1 }))
      })
    },
  )
  const env = { ROOMCAST_URL, ROOMCAST_TOKEN: 'a.b.c' }
  for (const args of [
    ['tail', 'open', '--count', '1'],
    ['tail', 'open', '--count', '1', '--json'],
    ['tail', 'shut'],
    ['send', 'shut', 'hello'],
  ])
    await showsNothing(t, args, env)
})

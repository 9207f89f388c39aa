// The afternoon's loop: parse, then send(string) to each other member. On ws, as its README shows it.
import { createServer } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import { userOf } from './token.ts'

interface Request {
  type: 'join' | 'message'
  room: string
  content?: unknown
}

const secret = process.env.JWT_SECRET ?? ''
const rooms = new Map<string, Set<WebSocket>>()
const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false })
const server = createServer()

server.on('upgrade', (request, socket, head) => {
  const token = new URL(request.url ?? '/', 'http://localhost').searchParams.get('token') ?? ''
  const user = userOf(token, secret)
  if (user === undefined) socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
  else wss.handleUpgrade(request, socket, head, (client) => serve(client, user))
})

let lastClient = 0

function serve(client: WebSocket, user: string): void {
  const id = String(++lastClient)
  const joined = new Set<Set<WebSocket>>()
  client.on('message', (data) => {
    const { type, room, content } = JSON.parse(String(data)) as Request
    if (type === 'join') joined.add(join(client, room))
    else publish(client, room, { type, room, content, from: { client: id, user }, at: Date.now() })
  })
  client.on('close', () => {
    for (const members of joined) members.delete(client)
  })
  client.on('error', () => {})
}

function join(client: WebSocket, room: string): Set<WebSocket> {
  const members = rooms.get(room) ?? new Set()
  rooms.set(room, members.add(client))
  client.send(JSON.stringify({ type: 'joined', room }))
  return members
}

function publish(sender: WebSocket, room: string, envelope: unknown): void {
  const text = JSON.stringify(envelope)
  for (const member of rooms.get(room) ?? []) {
    if (member !== sender && member.readyState === member.OPEN) member.send(text)
  }
}

server.listen(0, '127.0.0.1', 4096, () => console.log(JSON.stringify({ listening: server.address() })))

// Bun's native server with its own topics: one publish a message, fan-out in native code.
import { userOf } from './token.ts'

interface Client {
  id: string
  user: string
}

interface Socket {
  data: Client
  subscribe(topic: string): void
  publish(topic: string, text: string): void
  send(text: string): void
}

interface Upgrade {
  upgrade(request: { url: string }, options: { data: Client }): boolean
}

interface Handlers {
  port: number
  hostname: string
  fetch(request: { url: string }, server: Upgrade): unknown
  websocket: {
    perMessageDeflate: boolean
    message(socket: Socket, text: string): void
  }
}

// By hand: Bun's types are not among the project's packages.
declare const Bun: { serve(handlers: Handlers): { port: number } }
declare const Response: new (body: string, init: { status: number }) => unknown

const secret = process.env.JWT_SECRET ?? ''
let lastClient = 0

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch(request, upgrader) {
    const user = userOf(new URL(request.url).searchParams.get('token') ?? '', secret)
    if (user === undefined) return new Response('unauthorized', { status: 401 })
    if (upgrader.upgrade(request, { data: { id: String(++lastClient), user } })) return undefined
    return new Response('no upgrade', { status: 426 })
  },
  websocket: {
    perMessageDeflate: false,
    message(socket, text) {
      const { type, room, content } = JSON.parse(text) as { type: string; room: string; content?: unknown }
      if (type === 'join') {
        socket.subscribe(room)
        socket.send(JSON.stringify({ type: 'joined', room }))
        return
      }
      const from = { client: socket.data.id, user: socket.data.user }
      socket.publish(room, JSON.stringify({ type, room, content, from, at: Date.now() }))
    },
  },
})

console.log(JSON.stringify({ listening: { port: server.port } }))

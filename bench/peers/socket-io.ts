// Socket.IO with what its pages on performance and memory recommend: WebSocket only, no compression, bufferutil
// beside ws, and the first request not kept.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { userOf } from './token.ts'

interface Socket {
  id: string
  data: { user?: string }
  handshake: { auth: { token?: string } }
  on(event: 'join', listener: (room: string) => void): void
  on(event: 'message', listener: (request: { room: string; content: unknown }) => void): void
  join(room: string): void
  emit(event: string, ...args: unknown[]): void
  to(room: string): { emit(event: string, ...args: unknown[]): void }
}

interface Io {
  engine: { on(event: 'connection', listener: (raw: { request: unknown }) => void): void }
  use(middleware: (socket: Socket, next: (error?: Error) => void) => void): void
  on(event: 'connection', listener: (socket: Socket) => void): void
}

// By hand: the package is installed for the benchmark only, and types are checked without it.
const { Server } = createRequire(import.meta.url)('socket.io') as {
  Server: new (server: unknown, options: Record<string, unknown>) => Io
}

const secret = process.env.JWT_SECRET ?? ''
const server = createServer()
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
})

io.engine.on('connection', (raw) => {
  raw.request = null
})

io.use((socket, next) => {
  const user = userOf(socket.handshake.auth.token ?? '', secret)
  if (user === undefined) return next(new Error('unauthorized'))
  socket.data.user = user
  next()
})

io.on('connection', (socket) => {
  const from = { client: socket.id, user: socket.data.user }
  socket.on('join', (room) => {
    socket.join(room)
    socket.emit('joined', { room })
  })
  socket.on('message', ({ room, content }) => {
    socket.to(room).emit('message', { room, content, from, at: Date.now() })
  })
})

server.listen(0, '127.0.0.1', 4096, () => console.log(JSON.stringify({ listening: server.address() })))

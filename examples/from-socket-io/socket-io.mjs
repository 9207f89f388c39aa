// The poll with Socket.IO, as it was.
import { readFileSync } from 'node:fs'
import { createVerifier } from 'fast-jwt'
import Fastify from 'fastify'
import { Server } from 'socket.io'

export async function startSocketIo({ port, secret, votes }) {
  const app = Fastify()
  const verify = createVerifier({ key: secret })
  const io = new Server(app.server)

  io.use((socket, next) => {
    try {
      socket.data.user = verify(socket.handshake.auth.token).sub
      next()
    } catch {
      next(new Error('unauthorized'))
    }
  })

  io.on('connection', (socket) => {
    socket.on('join', (room) => {
      if (room === 'poll.lunch') socket.join(room)
    })
    socket.on('say', (room, text) => {
      if (socket.rooms.has(room)) io.to(room).emit('said', socket.data.user, text)
    })
    socket.on('vote', (choice, answer) => {
      if (typeof answer !== 'function') return
      if (!votes.has(choice)) return answer({ error: 'no such choice' })
      votes.set(choice, votes.get(choice) + 1)
      io.to('poll.lunch').emit('votes', Object.fromEntries(votes))
      answer({ votes: votes.get(choice) })
    })
  })

  app.get('/', (_request, reply) =>
    reply.type('text/html').send(readFileSync(new URL('socket-io.html', import.meta.url))),
  )
  // Before Fastify waits for all connections to end: those of Socket.IO would never.
  app.addHook('preClose', () => io.close())
  return { app, url: await app.listen({ host: '127.0.0.1', port }) }
}

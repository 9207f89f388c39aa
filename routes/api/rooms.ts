import type { FastifyInstance } from 'fastify'
import { historyQuery, roomsQuery } from '../../src/protocol/api.ts'
import { historyText } from '../../src/protocol/codec.ts'
import { check } from './body.ts'
import { roomIn, userIn } from './names.ts'
import { Problem } from './problem.ts'

/** Rooms, who is in them and what was said there; `DELETE …/members/{user}` removes a user. */
export async function roomRoutes(app: FastifyInstance): Promise<void> {
  const { hub } = app
  const { inquiries } = hub

  app.get('/rooms', ({ query }) => inquiries.rooms(check(query, roomsQuery)))

  app.get('/rooms/:room', (request) => inquiries.room(roomIn(request)))

  app.get('/rooms/:room/members', async (request) => {
    const room = roomIn(request)
    return { room, ...(await inquiries.members(room)) }
  })

  app.get('/rooms/:room/messages', async (request, reply) => {
    const room = roomIn(request)
    const { since, limit } = check(request.query, historyQuery)
    const { position, isComplete, messages } = await hub.replay(room, since, limit)
    if (position === undefined)
      throw new Problem('unavailable', 'no history is kept, or it cannot be read now')
    const text = historyText({ id: undefined, room }, position, messages)
    // What clients are told, and whether all that followed is there, which their join says.
    const recovered = since === undefined ? '' : `,"recovered":${isComplete}`
    reply.type('application/json')
    return `${text.slice(0, -1)}${recovered}}`
  })

  app.delete('/rooms/:room/members/:user', (request) =>
    hub.remove({ room: roomIn(request), user: userIn(request) }),
  )
}

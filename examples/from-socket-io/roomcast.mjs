// The same poll with roomcast. Joining and saying need no code: the token says who may.
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import roomcast, { defineCall } from 'roomcast'
import { z } from 'zod'

export async function startRoomcast({ port, secret, votes }) {
  const app = Fastify()
  const calls = {
    vote: defineCall({
      params: z.string(),
      handle: async (choice) => {
        if (!votes.has(choice)) return { refuse: 'no such choice' }
        votes.set(choice, votes.get(choice) + 1)
        await app.hub.publish('poll.lunch', { votes: Object.fromEntries(votes) })
        return { votes: votes.get(choice) }
      },
    }),
  }
  const said = z.union([
    z.object({ text: z.string() }),
    z.object({ votes: z.record(z.string(), z.number()) }),
  ])
  const rules = [{ match: 'poll.*', content: said }]
  await app.register(roomcast, { jwtSecret: secret, clientJs: true, calls, rules })

  app.get('/', (_request, reply) =>
    reply.type('text/html').send(readFileSync(new URL('roomcast.html', import.meta.url))),
  )
  return { app, url: await app.listen({ host: '127.0.0.1', port }) }
}

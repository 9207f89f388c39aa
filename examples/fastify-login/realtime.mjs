import { randomBytes } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import roomcast, { defineCall } from 'roomcast'
import { z } from 'zod'

/** Rooms for an app that knows its users: tokens for its sessions, hooks that ask its data, calls into its code. */
export async function addRealtime(app, { userOf, people, orders }) {
  const secret = process.env.JWT_SECRET ?? randomBytes(32).toString('base64url')
  // Short: a page gets a new one as long as its session holds.
  const sign = createSigner({ key: secret, expiresIn: 5 * 60_000 })
  app.get('/token', (request, reply) => {
    const user = userOf(request)
    if (user === undefined) return reply.code(401).send()
    return sign({ sub: user, can: { join: ['team.*'], publish: ['team.*'] } })
  })

  const hooks = {
    // The token allows all teams; which one is the user's, the app's data say.
    join: ({ user, room }) => {
      if (room !== `team.${people[user]?.team}`) return { refuse: 'not your team' }
    },
    publish: ({ content }) => {
      if (typeof content?.text !== 'string') return { refuse: 'text is missing' }
      return { content: { text: content.text.replaceAll('damn', '****') } }
    },
  }
  const calls = {
    'orders.cancel': defineCall({
      params: z.object({ id: z.number() }),
      handle: async ({ id }, { user }) => {
        const order = orders.get(id)
        if (order?.owner !== user) return { refuse: 'no such order of yours' }
        order.isCancelled = true
        const text = `Order ${id} is cancelled.`
        await app.hub.publish(`team.${people[user].team}`, { text }, { user: 'shop' })
        return { isCancelled: true }
      },
    }),
  }
  await app.register(roomcast, { prefix: '/realtime', jwtSecret: secret, clientJs: true, hooks, calls })
}

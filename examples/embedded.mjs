// roomcast inside an app of your own: POST /news publishes to a room.
// npm install fastify and roomcast's tarball, then: JWT_SECRET=… node embedded.mjs
import Fastify from 'fastify'
import roomcast from 'roomcast'

const app = Fastify({ logger: true })

await app.register(roomcast, {
  prefix: '/realtime',
  jwtSecret: process.env.JWT_SECRET,
  defaultCan: { join: ['news'] },
})

// Without a body there is nothing to publish: the schema makes that a 400.
app.post('/news', { schema: { body: { type: 'object' } } }, async (request) => {
  const { scope } = await app.hub.publish('news', request.body, { user: 'editor' })
  return { published: true, scope, listeners: app.rooms.members('news').size }
})

await app.listen({ port: Number(process.env.PORT ?? 3000) })

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())

// Shared cursors: nothing is kept, so the room has no history at all.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSigner } from 'fast-jwt'
import Fastify from 'fastify'
import roomcast from 'roomcast'
import { z } from 'zod'

const secret = process.env.JWT_SECRET ?? randomBytes(32).toString('base64url')
const sign = createSigner({ key: secret, expiresIn: 3_600_000 })
const can = { join: ['cursors.*'], publish: ['cursors.*'] }
const query = { type: 'object', required: ['user'], properties: { user: { type: 'string', minLength: 1 } } }

const app = Fastify()
await app.register(roomcast, {
  jwtSecret: secret,
  clientJs: true,
  rules: [
    {
      match: 'cursors.*',
      // A place on the page, from 0 to 1; nothing else reaches the others.
      content: z.tuple([z.number(), z.number()]),
      history: { size: 0 },
      presence: { lingerMs: 1000 },
      rate: { perSecond: 40, burst: 60 },
    },
  ],
})
app.get('/', (_request, reply) =>
  reply.type('text/html').send(readFileSync(new URL('index.html', import.meta.url))),
)
app.get('/token', { schema: { querystring: query } }, ({ query: { user } }) => sign({ sub: user, can }))

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`Open ${url}/?user=ada in one window, ?user=bob in another, and move the mouse`)
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())

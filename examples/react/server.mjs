// The React page's back end: roomcast, tokens for whoever gives a name, and Vite for the page.
import { randomBytes } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import Fastify from 'fastify'
import roomcast from 'roomcast'
import { createServer } from 'vite'
import { z } from 'zod'

const secret = process.env.JWT_SECRET ?? randomBytes(32).toString('base64url')
const sign = createSigner({ key: secret, expiresIn: 3_600_000 })
const can = { join: ['tasks.*'], publish: ['tasks.*'] }
const query = { type: 'object', required: ['user'], properties: { user: { type: 'string', minLength: 1 } } }

// What pages may say: nothing else reaches the others.
const change = z.union([z.object({ added: z.string().min(1) }), z.object({ done: z.string() })])

const app = Fastify()
await app.register(roomcast, {
  jwtSecret: secret,
  rules: [{ match: 'tasks.*', presence: true, content: change }],
})
app.get('/token', { schema: { querystring: query } }, ({ query: { user } }) => sign({ sub: user, can }))
const target = await app.listen({ host: '127.0.0.1', port: 0 })

const vite = await createServer({
  root: import.meta.dirname,
  configFile: false,
  logLevel: 'warn',
  server: {
    host: '127.0.0.1',
    port: Number(process.env.PORT ?? 3000),
    strictPort: true,
    proxy: { '/token': target, '/ws': { target, ws: true } },
  },
})
await vite.listen()
console.log(`Open http://127.0.0.1:${vite.config.server.port}/?user=ada in one window, ?user=bob in another`)

for (const signal of ['SIGTERM', 'SIGINT'])
  process.once(signal, async () => {
    await vite.close()
    await app.close()
    // Vite's watchers may still hold the process.
    process.exit()
  })

// A dashboard that any back end feeds over HTTP: the page only reads, and only the key may publish.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSigner } from 'fast-jwt'
import Fastify from 'fastify'
import roomcast from 'roomcast'
import { feed } from './feed.mjs'

const [secret, apiSecret] = [process.env.JWT_SECRET, process.env.API_SECRET].map(
  (given) => given ?? randomBytes(32).toString('base64url'),
)
const sign = createSigner({ key: secret, expiresIn: 3_600_000 })

const app = Fastify()
await app.register(roomcast, {
  jwtSecret: secret,
  clientJs: true,
  apiKeys: [{ name: 'feed', secret: apiSecret, can: { publish: ['metrics'] } }],
  rules: [{ match: 'metrics', publish: 'server', history: { size: 60 } }],
})
app.get('/', (_request, reply) =>
  reply.type('text/html').send(readFileSync(new URL('index.html', import.meta.url))),
)
app.get('/token', () => sign({ sub: 'viewer', can: { join: ['metrics'] } }))

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`Open ${url}/`)

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'])
  process.once(signal, async () => {
    stop.abort()
    await app.close()
  })
// Yours runs elsewhere, in whatever language it is written.
await feed(url, apiSecret, stop.signal)

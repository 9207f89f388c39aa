// A bell for each user. Whoever orders something is told on all devices when it is on its way.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSigner } from 'fast-jwt'
import Fastify from 'fastify'
import roomcast from 'roomcast'

const [secret, apiSecret] = [process.env.JWT_SECRET, process.env.API_SECRET].map(
  (given) => given ?? randomBytes(32).toString('base64url'),
)
const sign = createSigner({ key: secret, expiresIn: 3_600_000 })
const user = { type: 'object', required: ['user'], properties: { user: { type: 'string', minLength: 1 } } }

const app = Fastify()
await app.register(roomcast, {
  jwtSecret: secret,
  clientJs: true,
  apiKeys: [{ name: 'shop', secret: apiSecret }],
})
app.get('/', (_request, reply) =>
  reply.type('text/html').send(readFileSync(new URL('index.html', import.meta.url))),
)
// Yours asks who is logged in. The token allows no room: what is said to a user needs none.
app.get('/token', { schema: { querystring: user } }, ({ query }) => sign({ sub: query.user, can: {} }))

app.post('/orders', { schema: { body: user } }, async ({ body }, reply) => {
  const { clients } = await notify(body.user, { text: 'Your order is on its way', at: Date.now() })
  return reply.code(201).send({ told: clients })
})

/** Tells all clients of a user, on all nodes. Any program with the key can: it is plain HTTP. */
async function notify(to, content) {
  const answer = await fetch(`${url}/api/v1/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiSecret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ users: [to], content }),
  })
  if (!answer.ok) throw new Error(`roomcast answered ${answer.status}: ${await answer.text()}`)
  const [result] = (await answer.json()).results
  if (result.error) throw new Error(result.detail)
  return result
}

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`Open ${url}/?user=ada in two windows, and order something in one`)
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())

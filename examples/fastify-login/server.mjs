// An app that was there before, with its own login. What roomcast adds stands in realtime.mjs.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { addRealtime } from './realtime.mjs'

// Yours are in a database, with passwords hashed.
const people = {
  ada: { password: 'lovelace', team: 'red' },
  bob: { password: 'builder', team: 'blue' },
}
const orders = new Map([[7, { owner: 'ada', isCancelled: false }]])
const sessions = new Map()

const app = Fastify()
const text = { type: 'string' }
const login = {
  type: 'object',
  required: ['user', 'password'],
  properties: { user: text, password: text },
}

app.post('/login', { schema: { body: login } }, ({ body: { user, password } }, reply) => {
  if (!Object.hasOwn(people, user) || people[user].password !== password) return reply.code(401).send()
  const session = randomBytes(24).toString('base64url')
  sessions.set(session, user)
  return reply.header('set-cookie', `session=${session}; HttpOnly; SameSite=Strict; Path=/`).code(204).send()
})
app.get('/', (_request, reply) =>
  reply.type('text/html').send(readFileSync(new URL('index.html', import.meta.url))),
)

/** The logged-in user of a request, or undefined. */
const userOf = ({ headers }) => sessions.get(/(?:^|; )session=([\w-]+)/.exec(headers.cookie ?? '')?.[1])

await addRealtime(app, { userOf, people, orders })

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`Open ${url}/ and log in as ada (lovelace) or bob (builder)`)
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())

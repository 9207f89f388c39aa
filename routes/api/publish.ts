import type { FastifyInstance } from 'fastify'
import type { Config } from '../../src/config.ts'
import { type Author, Denied, Posts } from '../../src/hub/posts.ts'
import { publishBody, type SendBody, sendBody, TARGETS } from '../../src/protocol/api.ts'
import { itemsOf, readMessage, textOf } from './body.ts'
import { roomIn } from './names.ts'
import { orProblem } from './problem.ts'

/** What a body may have beside its content. */
const ENVELOPE_BYTES = 4096
/** A list of publishes has at least so much room. */
const LIST_BYTES = 1024 * 1024

/** `POST /rooms/{room}/messages` and `POST /messages`: what a back end, or a user with a token, publishes. */
export async function publishRoutes(app: FastifyInstance, { config }: { config: Config }): Promise<void> {
  const posts = new Posts(app.hub, config)
  const { maxMessageBytes, maxNesting } = config
  const limits = { maxNesting, maxMessageBytes }

  app.post('/rooms/:room/messages', { bodyLimit: maxMessageBytes + ENVELOPE_BYTES }, async (request) => {
    const room = roomIn(request)
    const message = readMessage(textOf(request.body), publishBody, limits)
    return orProblem(await posts.publish(request.apiAuthor, { room, ...message }))
  })

  const send = (author: Author, { rooms, users, broadcast, ...message }: SendBody): Promise<object[]> => {
    if (users !== undefined)
      return Promise.all([result({ users }, posts.publishToUsers(author, users, message))])
    if (broadcast !== undefined)
      return Promise.all([result({ broadcast }, posts.publish(author, { room: undefined, ...message }))])
    const targets = rooms ?? []
    return Promise.all(targets.map((room) => result({ room }, posts.publish(author, { room, ...message }))))
  }
  const bodyLimit = Math.max(LIST_BYTES, maxMessageBytes + ENVELOPE_BYTES)
  app.post('/messages', { bodyLimit }, async ({ body, apiAuthor }) => {
    const text = textOf(body)
    // A list begins with a bracket, and a message is an object.
    if (!/^\s*\[/.test(text)) return { results: await send(apiAuthor, readMessage(text, sendBody, limits)) }
    // All are read before the first is sent, and they are sent in their order.
    const sends = itemsOf(text, TARGETS, maxNesting).map((item) => readMessage(item, sendBody, limits))
    const answers: object[] = []
    for (const one of sends) answers.push({ results: await send(apiAuthor, one) })
    return answers
  })
}

/** One answer for each target; what one is refused, the others are not. */
async function result(target: object, done: Promise<object | Denied>): Promise<object> {
  const answer = await done
  if (!(answer instanceof Denied)) return { ...target, ...answer }
  const { broadcast: _, ...named } = target as { broadcast?: true }
  return { ...named, error: answer.code, detail: answer.message }
}

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../../src/config.ts'
import { type Author, Denied, type Post, Posts } from '../../src/hub/posts.ts'
import { type PublishBody, publishBody, type SendBody, sendBody, TARGETS } from '../../src/protocol/api.ts'
import { traceparent } from '../../src/protocol/envelope.ts'
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
  const { inbox } = app.hub.turn
  const { maxMessageBytes, maxNesting } = config
  const limits = { maxNesting, maxMessageBytes }

  app.post('/rooms/:room/messages', { bodyLimit: maxMessageBytes + ENVELOPE_BYTES }, (request) => {
    const room = roomIn(request)
    const body = readMessage(textOf(request.body), publishBody, limits)
    const done = posts.publish(request.apiAuthor, postOf(room, body, traceparentOf(request)))
    return done instanceof Promise ? done.then(orProblem) : orProblem(done)
  })

  const send = (author: Author, trace: string | undefined, body: SendBody): Promise<object[]> => {
    const { rooms = [], users, broadcast } = body
    const post = postOf(undefined, body, trace)
    if (users !== undefined)
      return Promise.all([result({ users }, posts.publishToUsers(author, users, post))])
    if (broadcast !== undefined) return Promise.all([result({ broadcast }, posts.publish(author, post))])
    return Promise.all(rooms.map((room) => result({ room }, posts.publish(author, { ...post, room }))))
  }
  const bodyLimit = Math.max(LIST_BYTES, maxMessageBytes + ENVELOPE_BYTES)
  app.post('/messages', { bodyLimit }, async (request) => {
    const { body, apiAuthor } = request
    const text = textOf(body)
    const trace = traceparentOf(request)
    // A list begins with a bracket, and a message is an object.
    if (!/^\s*\[/.test(text))
      return { results: await send(apiAuthor, trace, readMessage(text, sendBody, limits)) }
    // All are read before the first is sent, and they are sent in their order.
    const sends = itemsOf(text, TARGETS, maxNesting).map((item) => readMessage(item, sendBody, limits))
    const answers: object[] = []
    for (const one of sends) {
      // A list of a hundred, each to a hundred rooms, is the work of more than one turn.
      if (!inbox.hasTime) await new Promise<void>((resolve) => inbox.wait(resolve))
      answers.push({ results: await send(apiAuthor, trace, one) })
    }
    return answers
  })
}

/** What a body says, field by field: an object made with ... costs more than all the rest of a publish. */
function postOf(room: string | undefined, body: PublishBody, trace: string | undefined): Post {
  const { content, key, keep, exclude, user, traceparent = trace } = body
  return { room, content, key, keep, exclude, user, traceparent }
}

/** By the header, which whoever is on the way may have written: one that is none counts for nothing, as W3C has it. */
function traceparentOf({ headers: { traceparent: header } }: FastifyRequest): string | undefined {
  return header === undefined ? undefined : traceparent.safeParse(header).data
}

/** One answer for each target; what one is refused, the others are not. */
async function result(target: object, done: object | Promise<object>): Promise<object> {
  const answer = await done
  if (!(answer instanceof Denied)) return { ...target, ...answer }
  const { broadcast: _, ...named } = target as { broadcast?: true }
  return { ...named, error: answer.code, detail: answer.message }
}

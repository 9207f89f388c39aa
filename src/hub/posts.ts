import type { Permissions } from '../auth/permissions.ts'
import { BoundedMap } from '../bounded-map.ts'
import { type Published, TELL_MAX_BYTES } from '../bridge/bridge.ts'
import { Asking, Denial } from '../hooks/hooks.ts'
import { messageHead, messageText } from '../protocol/codec.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import type { From } from '../protocol/envelope.ts'
import { contentFault } from '../rules/content-fault.ts'
import type { RoomRule } from '../rules/room-rules.ts'
import type { Hub } from './hub.ts'
import { RateLimiter, type RateLimits } from './rate-limiter.ts'
import { RoomRates } from './room-rates.ts'

/** Who publishes over HTTP: a back end with a key, or a user with a token. */
export interface Author {
  kind: 'app' | 'user'
  user: string
  permissions: Permissions
  /** The user's public data, as JSON text. */
  info: string | undefined
  /** Whose its keys of publishes are; undefined for who may have none. */
  keyOwner: string | undefined
}

/** A message that came by HTTP. `content` is the sender's own JSON text; `room` is undefined for everybody. */
export interface Post {
  room: string | undefined
  content: string
  key?: string | undefined
  keep?: boolean | undefined
  /** The client that must not get it. */
  exclude?: string | undefined
  /** Whom members see it from, where an app says so. */
  user?: string | undefined
  /** The sender's place in a trace. */
  traceparent?: string | undefined
}

/** Why something is not published; the words are those of an `error` envelope. */
export class Denied {
  readonly code: ErrorCode
  readonly message: string
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, retryAfterMs?: number) {
    this.code = code
    this.message = message
    this.retryAfterMs = retryAfterMs
  }
}

/** What is told to nodes has TELL_MAX_BYTES; the rest is for the question. */
const TOLD_MAX_BYTES = TELL_MAX_BYTES - 1024

/** Users whose messages over HTTP are counted; each has a bucket, and one for rooms whose rule has a rate. */
const USERS = 1000

interface Rates {
  own: RateLimiter
  rooms: RoomRates
}

/** Publishes what comes by HTTP. For users hold the rules that hold for their sockets, but that they need not be members. */
export class Posts {
  readonly #hub: Hub
  readonly #limits: RateLimits
  readonly #rates = new BoundedMap<string, Rates>(USERS)

  constructor(hub: Hub, limits: RateLimits) {
    this.#hub = hub
    this.#limits = limits
  }

  /**
   * What became of it once the bridge has taken it, or why nothing did; a promise only where something has to be waited
   * for. Throws NobodyIsLeft, or rejects with it.
   */
  publish(author: Author, post: Post): Published | Denied | Promise<Published | Denied> {
    const rule = post.room === undefined ? undefined : this.#hub.rooms.ruleOf(post.room)
    const refused = refusedBy(rule, author, post)
    if (refused !== undefined) return refused
    if (isTrusted(author) && rule?.content === undefined) return this.#send(rule, author, post, post.content)
    return this.#checked(rule, author, post)
  }

  async #checked(rule: RoomRule | undefined, author: Author, post: Post): Promise<Published | Denied> {
    const content = isTrusted(author) ? post.content : await this.#asUser(rule, author, post)
    if (content instanceof Denied) return content
    const fault = rule?.content && (await contentFault(rule.content, content))
    if (fault !== undefined) return new Denied('bad_content', fault)
    return this.#send(rule, author, post, content)
  }

  #send(rule: RoomRule | undefined, author: Author, post: Post, content: string) {
    const { room, exclude, key, keep, traceparent } = post
    const { keyOwner } = author
    const from = this.#from(author, post.user)
    const once = key === undefined || keyOwner === undefined ? undefined : { user: keyOwner, key }
    const history = keep === false ? undefined : rule?.history
    // Written out: objects put together with ... cost more than all the rest of a publish.
    return this.#hub.appMessages.send({ room, content, from, exclude, once, history, traceparent })
  }

  /** To all clients of these users, on all nodes; it is not kept. Who gets it is counted. */
  async publishToUsers(author: Author, users: string[], post: Omit<Post, 'room'>) {
    if (!isTrusted(author)) return new Denied('forbidden', 'to users: for API keys and can.admin only')
    if (post.user !== undefined && author.kind !== 'app') return forKeysOnly
    const from = this.#from(author, post.user)
    const text = messageText(messageHead(undefined, post.content, from, this.#hub.clock.wallMs()), undefined)
    if (Buffer.byteLength(JSON.stringify({ users, text })) > TOLD_MAX_BYTES)
      return new Denied('bad_content', `to users: ${TOLD_MAX_BYTES} bytes at most, escaped, with their names`)
    return this.#hub.inquiries.deliver(users, post.exclude, text)
  }

  /** `as` is whom an app names. */
  #from({ kind, user }: Author, as = user): From {
    const { node: client } = this.#hub
    return kind === 'app' ? { client, user: as, app: true } : { client, user: as }
  }

  #overRate(rule: RoomRule | undefined, { user }: Author, { room }: Post): Denied | undefined {
    const nowMs = this.#hub.clock.steadyMs()
    let rates = this.#rates.get(user)
    if (rates === undefined) {
      rates = { own: new RateLimiter(this.#limits, nowMs), rooms: new RoomRates() }
      this.#rates.set(user, rates)
    }
    if (rates.own.take(nowMs) !== 'ok')
      return new Denied('rate_limited', 'too many messages', rates.own.retryAfterMs(nowMs))
    if (rule?.rate === undefined || room === undefined) return undefined
    const waitMs = rates.rooms.take(room, rule.rate, nowMs)
    return waitMs === 0 ? undefined : new Denied('rate_limited', 'too many messages into this room', waitMs)
  }

  /** The content, where what holds for a user's sockets allows it. */
  async #asUser(rule: RoomRule | undefined, author: Author, post: Post): Promise<string | Denied> {
    return (
      this.#overRate(rule, author, post) ??
      (await this.#notItsOwn(author, post.exclude)) ??
      (await this.#asked(author, post))
    )
  }

  /** A user may leave out a client of its own, and nobody else's. */
  async #notItsOwn({ user }: Author, client: string | undefined): Promise<Denied | undefined> {
    if (client === undefined) return undefined
    const { found, scope, nodes } = await this.#hub.inquiries.client(client)
    if (found?.user === user) return undefined
    if (found === undefined && (scope === 'node' || nodes.missing.length > 0))
      return new Denied('unavailable', 'exclude: whose client that is cannot be asked of all nodes now')
    return new Denied('forbidden', 'exclude: no client of this user')
  }

  /** The content that the publish hook lets through. */
  async #asked({ user, info }: Author, { room, content }: Post): Promise<string | Denied> {
    const ask = this.#hub.hooks?.publish
    if (ask === undefined) return content
    const answer = await ask(new Asking(), { client: this.#hub.node, user, info }, room, content)
    if (answer instanceof Denial) return new Denied(answer.code, answer.message)
    return answer ?? content
  }
}

/** A back end, or a user whose word is as good. */
const isTrusted = ({ kind, permissions }: Author) => kind === 'app' || permissions.admin

const forKeysOnly = new Denied('forbidden', 'user: for API keys only')

/** By the permissions and the room's rule alone. */
function refusedBy(
  rule: RoomRule | undefined,
  author: Author,
  { room, user, key }: Post,
): Denied | undefined {
  const { kind, permissions, keyOwner } = author
  const isAllowed = room === undefined ? permissions.broadcast : permissions.canPublish(room)
  if (!isAllowed) return new Denied('forbidden', 'publishing there is not allowed')
  if (rule?.publish === 'server' && !isTrusted(author))
    return new Denied('forbidden', 'only the server publishes here')
  if (user !== undefined && kind !== 'app') return forKeysOnly
  if (key !== undefined && keyOwner === undefined)
    return new Denied('forbidden', 'key: for tokens with a sub only')
  return undefined
}

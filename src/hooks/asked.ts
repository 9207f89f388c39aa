import type { FastifyRequest } from 'fastify'
import type { Asker, Asking, Upgrade } from './hooks.ts'

// What the functions of an app are given. Getters, because most have no use for what takes work to make.

/** What every hook is given. */
class Asked {
  readonly #asking: Asking

  constructor(asking: Asking) {
    this.#asking = asking
  }

  /** Aborted when the answer is of no use any more: after HOOK_TIMEOUT_MS, or when the client has gone. */
  get signal(): AbortSignal {
    return this.#asking.signal
  }
}

/** May this token's holder connect? */
export class ConnectAsked extends Asked {
  /** The token's, verified. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly request: FastifyRequest

  constructor(asking: Asking, { claims, request }: Upgrade) {
    super(asking)
    this.claims = claims
    this.request = request
  }
}

/** Whose request it is. */
class RequestAsked extends Asked {
  /** The client's id, as in its `welcome`. */
  readonly client: string
  readonly user: string
  readonly #info: string | undefined

  constructor(asking: Asking, { client, user, info }: Asker) {
    super(asking)
    this.client = client
    this.user = user
    this.#info = info
  }

  /** The user's public data: the token's `info`, or what the connect hook has put in its place. */
  get info(): unknown {
    return this.#info === undefined ? undefined : JSON.parse(this.#info)
  }
}

/** May this client join the room? */
export class JoinAsked extends RequestAsked {
  readonly room: string

  constructor(asking: Asking, asker: Asker, room: string) {
    super(asking, asker)
    this.room = room
  }
}

/** May this client publish that? */
export class PublishAsked extends RequestAsked {
  /** Undefined for a broadcast. */
  readonly room: string | undefined
  readonly #text: string

  constructor(asking: Asking, asker: Asker, room: string | undefined, content: string) {
    super(asking, asker)
    this.room = room
    this.#text = content
  }

  get content(): unknown {
    return JSON.parse(this.#text)
  }
}

/** Whose call it is. */
export class CallContext extends RequestAsked {
  readonly method: string

  constructor(asking: Asking, asker: Asker, method: string) {
    super(asking, asker)
    this.method = method
  }
}

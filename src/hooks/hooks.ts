import type { FastifyRequest } from 'fastify'
import type { Identity } from '../auth/permissions.ts'
import type { ErrorCode } from '../protocol/codes.ts'

export const hookNames = ['connect', 'join', 'publish', 'call'] as const
export type HookName = (typeof hookNames)[number]

/** Why something is not done: a hook said no, or has failed. `message` goes to the peer. */
export class Denial {
  readonly code: DenialCode
  readonly message: string

  constructor(code: DenialCode, message: string) {
    this.code = code
    this.message = message
  }
}
export type DenialCode = Extract<
  ErrorCode,
  'refused' | 'unavailable' | 'internal' | 'unknown_method' | 'bad_content'
>

export const noSuchMethod = new Denial('unknown_method', 'no such method')

/** Characters of a hook's reason that the peer is told. */
const REASON_CHARS = 200

/** A hook's no. The reason is cut, and cleaned of what turns text round or hides it. */
export function refusedFor(reason: string): Denial {
  const text = reason.slice(0, REASON_CHARS).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd')
  return new Denial('refused', text)
}

/** One asking of a hook: ended when its answer is of no use any more, being late or the client gone. */
export class Asking {
  #isOver = false
  #controller: AbortController | undefined
  #listener: (() => void) | undefined

  get isOver(): boolean {
    return this.#isOver
  }

  /** Aborted at the end. Made when it is read, for most hooks have no use for it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isOver) this.#controller.abort()
    return this.#controller.signal
  }

  /** At once where it is over already: a hook may have ended its own client. */
  onceOver(listener: () => void): void {
    if (this.#isOver) listener()
    else this.#listener = listener
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#controller?.abort()
    this.#listener?.()
  }
}

/** Whose request it is. */
export interface Asker {
  readonly client: string
  readonly user: string
  /** The user's public data, as JSON text. */
  readonly info: string | undefined
}

/** A client that wants to connect: its verified claims, and the upgrade. */
export interface Upgrade {
  readonly claims: Readonly<Record<string, unknown>>
  readonly request: FastifyRequest
  /** The identity with these claims in place of the token's; throws for what no token may say. */
  readonly identityWith: (changes: ClaimChanges) => Identity
}

/** What a connect hook may put in place of the token's claims. */
export interface ClaimChanges {
  readonly info?: unknown
  readonly rooms?: unknown
  readonly can?: unknown
}

/** What came of asking. It never rejects, and waits no longer than the hooks' deadline. */
export type Answer<T> = T | Denial | Promise<T | Denial>

/** What is asked before a request is carried out. Those that are not set are not there. */
export interface Hooks {
  /** The identity that the client has instead of its token's; undefined: that. */
  readonly connect?: ((asking: Asking, upgrade: Upgrade) => Answer<Identity | undefined>) | undefined
  readonly join?: ((asking: Asking, asker: Asker, room: string) => Answer<undefined>) | undefined
  /** The content to publish instead, as JSON text; undefined: the sender's. `room` is undefined for a broadcast. */
  readonly publish?:
    | ((
        asking: Asking,
        asker: Asker,
        room: string | undefined,
        content: string,
      ) => Answer<string | undefined>)
    | undefined
  /** The result, as JSON text. `params` are the client's own text. */
  readonly call?:
    | ((asking: Asking, asker: Asker, method: string, params: string | undefined) => Answer<string>)
    | undefined
}

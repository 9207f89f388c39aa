import type { Can } from '../auth/permissions.ts'
import { changesOf, joinAnswer, publishAnswer, readAnswer, refusalAlone } from './answers.ts'
import { CallContext, ConnectAsked, JoinAsked, PublishAsked } from './asked.ts'
import { type CallHandler, type Calls, DefinedCall } from './calls.ts'
import type { HookBounds } from './hook-bounds.ts'
import { Denial, type Hooks, noSuchMethod } from './hooks.ts'

/** A hook's no; the client is told the reason, 200 characters of it. */
export interface Refuse {
  refuse: string
}
// biome-ignore lint/suspicious/noConfusingVoidType: an async function that says nothing is one of Promise<void>.
type Nothing = undefined | void
type Later<T> = T | Nothing | Promise<T | Nothing>

/** What the app wants to be asked before it is done. Where a function is not async, nothing is waited for. */
export interface HookFunctions {
  /** Before the 101. What it answers with takes the place of the token's claim of that name. */
  connect?: (asked: ConnectAsked) => Later<Refuse | { info?: unknown; rooms?: string[]; can?: Can }>
  join?: (asked: JoinAsked) => Later<Refuse>
  /** The `content` that it answers with takes the place of the client's. */
  publish?: (asked: PublishAsked) => Later<Refuse | { content: unknown }>
}

export interface LocalHooksOptions {
  functions: HookFunctions
  calls: Calls
  bounds: HookBounds
  maxMessageBytes: number
}

/** What is kept of one beside its text. */
const QUESTION_BYTES = 1024
/** An upgrade has its headers. */
const UPGRADE_BYTES = 16 * 1024

/** Asks the functions of the app that roomcast is part of. */
export class LocalHooks implements Hooks {
  readonly connect: Hooks['connect']
  readonly join: Hooks['join']
  readonly publish: Hooks['publish']
  readonly call: Hooks['call']
  readonly #bounds: HookBounds
  readonly #maxBytes: number

  constructor({ functions: { connect, join, publish }, calls, bounds, maxMessageBytes }: LocalHooksOptions) {
    this.#bounds = bounds
    this.#maxBytes = maxMessageBytes
    this.connect = connect && this.#connect(connect)
    this.join = join && this.#join(join)
    this.publish = publish && this.#publish(publish)
    // A Map, because an object would answer for `constructor` too.
    const methods = new Map(
      Object.entries(calls).map(([method, call]) => [
        method,
        call instanceof DefinedCall ? call.carryOut : call,
      ]),
    )
    this.call = methods.size === 0 ? undefined : this.#call(methods)
  }

  #connect(ask: NonNullable<HookFunctions['connect']>): NonNullable<Hooks['connect']> {
    return (asking, upgrade) =>
      this.#bounds.ask({ hook: 'connect', asking, bytes: UPGRADE_BYTES }, () =>
        after(ask(new ConnectAsked(asking, upgrade)), (value) => {
          const changes = changesOf(value)
          return changes === undefined || changes instanceof Denial ? changes : upgrade.identityWith(changes)
        }),
      )
  }

  #join(ask: NonNullable<HookFunctions['join']>): NonNullable<Hooks['join']> {
    return (asking, asker, room) =>
      this.#bounds.ask({ hook: 'join', asking, bytes: QUESTION_BYTES }, () =>
        after(ask(new JoinAsked(asking, asker, room)), (value) => {
          const answer = readAnswer(joinAnswer, value)
          return answer instanceof Denial ? answer : undefined
        }),
      )
  }

  #publish(ask: NonNullable<HookFunctions['publish']>): NonNullable<Hooks['publish']> {
    return (asking, asker, room, content) =>
      this.#bounds.ask({ hook: 'publish', asking, bytes: QUESTION_BYTES + 2 * content.length }, () =>
        after(ask(new PublishAsked(asking, asker, room, content)), (value) => {
          const answer = readAnswer(publishAnswer, value)
          if (answer instanceof Denial) return answer
          return 'content' in answer ? this.#textOf(answer.content) : undefined
        }),
      )
  }

  #call(methods: ReadonlyMap<string, CallHandler>): NonNullable<Hooks['call']> {
    return (asking, asker, method, params) => {
      const handle = methods.get(method)
      if (handle === undefined) return noSuchMethod
      const bytes = QUESTION_BYTES + 2 * (params?.length ?? 0)
      return this.#bounds.ask({ hook: 'call', asking, bytes }, () => {
        const value = params === undefined ? undefined : JSON.parse(params)
        return after(handle(value, new CallContext(asking, asker, method)), (result) =>
          result instanceof Denial ? result : (refusalAlone(result) ?? this.#textOf(result ?? null)),
        )
      })
    }
  }

  /** A value as JSON text that a frame has room for. */
  #textOf(value: unknown): string {
    const text = JSON.stringify(value)
    if (text === undefined) throw new TypeError('the answer has no JSON form')
    if (Buffer.byteLength(text) > this.#maxBytes)
      throw new RangeError(`the answer is larger than ${this.#maxBytes} bytes`)
    return text
  }
}

/** Goes on with a value now, or with what its promise brings; query builders and others have promises of their own. */
function after<T>(value: unknown, then: (value: unknown) => T): T | Promise<T> {
  const isLater = typeof (value as Partial<Promise<unknown>> | undefined)?.then === 'function'
  return isLater ? Promise.resolve(value).then(then) : then(value)
}

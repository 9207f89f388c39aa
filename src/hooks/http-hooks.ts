import { sliceValue } from '../protocol/content-slice.ts'
import { callAnswer, changesOf, joinAnswer, publishAnswer, readAnswer } from './answers.ts'
import type { BackEnd } from './back-end.ts'
import type { HookBounds } from './hook-bounds.ts'
import {
  type Asker,
  type Asking,
  Denial,
  type HookName,
  type Hooks,
  noSuchMethod,
  type Upgrade,
} from './hooks.ts'

export interface HttpHooksOptions {
  backEnd: BackEnd
  /** What is asked. */
  hooks: readonly HookName[]
  bounds: HookBounds
  maxNesting: number
}

/** What is kept of one beside its body. */
const QUESTION_BYTES = 4096

/** Asks a back end by HTTP (docs/HOOKS.md). */
export class HttpHooks implements Hooks {
  readonly connect: Hooks['connect']
  readonly join: Hooks['join']
  readonly publish: Hooks['publish']
  readonly call: Hooks['call']
  readonly #options: HttpHooksOptions

  constructor(options: HttpHooksOptions) {
    const { hooks } = options
    this.#options = options
    if (hooks.includes('connect')) this.connect = this.#connect
    if (hooks.includes('join')) this.join = this.#join
    if (hooks.includes('publish')) this.publish = this.#publish
    if (hooks.includes('call')) this.call = this.#call
  }

  readonly #connect: NonNullable<Hooks['connect']> = (asking, upgrade) =>
    this.#ask('connect', asking, upgradeBody(upgrade), ({ value }) => {
      const changes = changesOf(value)
      return changes === undefined || changes instanceof Denial ? changes : upgrade.identityWith(changes)
    })

  readonly #join: NonNullable<Hooks['join']> = (asking, asker, room) =>
    this.#ask('join', asking, bodyOf('join', asker, { room: JSON.stringify(room) }), ({ value }) => {
      const answer = readAnswer(joinAnswer, value)
      return answer instanceof Denial ? answer : undefined
    })

  readonly #publish: NonNullable<Hooks['publish']> = (asking, asker, room, content) => {
    const body = bodyOf('publish', asker, {
      room: room === undefined ? undefined : JSON.stringify(room),
      content,
    })
    return this.#ask('publish', asking, body, ({ value, textOf }) => {
      const answer = readAnswer(publishAnswer, value)
      return answer instanceof Denial ? answer : textOf('content')
    })
  }

  readonly #call: NonNullable<Hooks['call']> = (asking, asker, method, params) => {
    const body = bodyOf('call', asker, { method: JSON.stringify(method), params })
    return this.#ask('call', asking, body, ({ value, textOf }) => {
      const answer = readAnswer(callAnswer, value)
      if (answer instanceof Denial) return answer
      return answer.error === undefined ? (textOf('result') ?? 'null') : noSuchMethod
    })
  }

  #ask<T>(hook: HookName, asking: Asking, body: string, read: (answer: Reading) => T | Denial) {
    const { bounds, backEnd, maxNesting } = this.#options
    return bounds.ask<T>({ hook, asking, bytes: QUESTION_BYTES + 2 * body.length }, async () => {
      const text = await backEnd.post(body, asking.signal)
      return read(readingOf(text, maxNesting))
    })
  }
}

/** An answer, as a value, and the text of what stands in it. */
interface Reading {
  value: unknown
  textOf: (key: string) => string | undefined
}

/** Throws for what is no JSON, or too deep. */
function readingOf(text: string, maxNesting: number): Reading {
  if (text.trim() === '') return { value: undefined, textOf: () => undefined }
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError('an answer is a JSON object')
  const textOf = (key: string) => {
    const slice = sliceValue(text, key, maxNesting)
    if (slice.tooDeep) throw new TypeError(`an answer nested deeper than ${maxNesting}`)
    return slice.value
  }
  return { value, textOf }
}

/** The body of what is asked about a client's request; `fields` are JSON texts, and go in as they stand. */
function bodyOf(hook: HookName, asker: Asker, fields: Record<string, string | undefined>): string {
  const { client, user, info } = asker
  const all = {
    hook: `"${hook}"`,
    client: JSON.stringify(client),
    user: JSON.stringify(user),
    info,
    ...fields,
  }
  const given = Object.entries(all).filter(([, text]) => text !== undefined)
  return `{${given.map(([name, text]) => `"${name}":${text}`).join(',')}}`
}

/** The token itself stays here. */
function upgradeBody({ claims, request: { ip, headers, query } }: Upgrade): string {
  const told = Object.entries(headers).filter(
    ([name]) => !/^(authorization|connection|upgrade|sec-websocket-.*)$/.test(name),
  )
  const { token: _token, ...rest } = query as Record<string, unknown>
  return JSON.stringify({
    hook: 'connect',
    claims,
    request: { ip, headers: Object.fromEntries(told), query: rest },
  })
}

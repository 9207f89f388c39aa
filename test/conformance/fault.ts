// What is planted, and how it is found.
import { tokenFor } from '../support/token.ts'

export type Envelope = Record<string, unknown> & { type: string }

/** One client's way through the proxy. */
export interface Link {
  /** Sends a text to its client, past the fault. */
  tell(text: string): void
  close(code: number): void
  /** All that are open, this one included. */
  readonly all: ReadonlySet<Link>
  /** Whatever a fault has to know later. */
  readonly memory: Map<string, unknown>
}

/** An HTTP request or upgrade on its way to the server. */
export interface Asked {
  url: string
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** What the server answers to it; of an upgrade only a refusal. */
export interface Answered {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** What a proxy changes; what is not there passes as it is. */
export interface Changes {
  toServer?(text: string, link: Link): string[]
  toClient?(text: string, link: Link): string[]
  close?(code: number): number
  asks?(asked: Asked): Asked
  answers?(answered: Answered): Answered
  /** Of one event of a stream, without the empty line behind it. */
  event?(text: string): string
}

export interface Fault extends Changes {
  name: string
  section: string
  /** The check that must fail. */
  check: string
  /** What it must say. */
  says: RegExp
}

/** Changes envelopes of one type; no list is the envelope as it was. */
type Change = (envelope: Envelope, link: Link, text: string) => object | object[] | undefined

export function changing(type: string, change: Change) {
  return (text: string, link: Link): string[] => {
    const envelope = envelopeIn(text)
    if (envelope?.type !== type) return [text]
    const changed = change(envelope, link, text)
    if (changed === undefined) return [text]
    return [changed].flat().map((one) => JSON.stringify(one))
  }
}

/** Leaves a field out of the envelopes of a type. */
export function without(type: string, name: string) {
  return changing(type, (envelope) => ({ ...envelope, [name]: undefined }))
}

export function envelopeIn(text: string): Envelope | undefined {
  try {
    const value = JSON.parse(text) as Envelope
    return typeof value?.type === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** Shows the server a token that is good, whatever came. */
export function withGoodToken(asked: Asked): Asked {
  const { searchParams, pathname } = new URL(asked.url, 'http://proxy')
  if (pathname !== '/ws') return asked
  searchParams.set('token', tokenFor('anybody'))
  return { ...asked, url: `${pathname}?${searchParams}` }
}

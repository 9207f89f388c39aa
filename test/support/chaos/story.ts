// A recording read once: the messages with their tries, and each connection's envelopes in their order.
import type { Life, Recording } from './recording.ts'

export interface Envelope {
  type: string
  id?: string
  room?: string
  epoch?: string
  offset?: number
  recovered?: boolean
  missed?: number
  scope?: string
  duplicate?: boolean
  code?: string
  from?: { client: string; user: string }
  at?: number
  since?: { epoch: string; offset: number }
  echo?: boolean
  key?: string
  count?: number
}

/** An envelope that was sent or got; `mid` is the id that persons put into their contents. */
export interface Event {
  atMs: number
  isSent: boolean
  envelope: Envelope
  text: string
  mid: string
}

export interface Ack {
  atMs: number
  scope: string
  offset: number | undefined
  isDuplicate: boolean
}

/** One sending of a message. */
export interface Try {
  life: Life
  atMs: number
  /** Its place among all that this connection has sent. */
  index: number
  ack: Ack | undefined
}

export interface Message {
  mid: string
  room: string | undefined
  person: string
  /** The JSON text as it was sent. */
  content: string
  isEchoed: boolean
  hasKey: boolean
  tries: Try[]
}

export interface Story {
  recording: Recording
  messages: Map<string, Message>
  events: Map<Life, Event[]>
  /** By the client id of the welcome. */
  clients: Map<string, Life>
}

const MID = /^\{\s*"m":"([^"]+)"/

/** Contents begin with their id; the rest is any JSON. */
export function contentWith(mid: string, rest: string): string {
  return `{ "m":"${mid}",${rest}}`
}

export function readStory(recording: Recording): Story {
  const story: Story = { recording, messages: new Map(), events: new Map(), clients: new Map() }
  for (const life of recording.lives) {
    const events = life.lines.map(({ atMs, isSent, text }): Event => {
      const envelope = JSON.parse(text) as Envelope
      return { atMs, isSent, text, envelope, mid: envelope.type === 'message' ? midOf(text) : '' }
    })
    story.events.set(life, events)
    readLife(story, life, events)
  }
  for (const { tries } of story.messages.values()) tries.sort((a, b) => a.atMs - b.atMs)
  return story
}

function midOf(text: string): string {
  return MID.exec(text.slice(text.indexOf('"content":') + 10))?.[1] ?? '?'
}

function readLife(story: Story, life: Life, events: readonly Event[]): void {
  const tries = new Map<string, Try>()
  for (const [index, { isSent, envelope, text, mid, atMs }] of events.entries()) {
    const { type, id = '', room, echo, key, scope = '', offset, duplicate } = envelope
    if (isSent && type === 'message') {
      const message = story.messages.get(mid) ?? {
        mid,
        room,
        person: life.person,
        // Persons put it last.
        content: text.slice(text.indexOf('"content":') + 10, -1),
        isEchoed: echo === true,
        hasKey: key !== undefined,
        tries: [],
      }
      const one: Try = { life, atMs, index, ack: undefined }
      message.tries.push(one)
      tries.set(id, one)
      story.messages.set(mid, message)
    } else if (!isSent && type === 'ack') {
      const one = tries.get(id)
      if (one !== undefined) one.ack = { atMs, scope, offset, isDuplicate: duplicate === true }
    } else if (!isSent && type === 'welcome') {
      story.clients.set(String((envelope as { client?: string }).client), life)
    }
  }
}

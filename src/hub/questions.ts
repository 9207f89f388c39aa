import { z } from 'zod'
import type { Bridge } from '../bridge/bridge.ts'
import type { Log } from '../log.ts'
import type { Scope } from '../protocol/envelope.ts'
import { ANSWER_CHARACTERS, type AnswerPart, answerPart, PART_CHARACTERS, Poll, parseJson } from './poll.ts'

/** Nodes that have not answered by then are missing. */
const DEADLINE_MS = 1000
/** At most one warning about what is no question and no answer in this time. */
const WARNING_MS = 10_000

const ask = z.object({
  type: z.literal('ask'),
  id: answerPart.shape.id,
  kind: z.string().max(32),
  with: z.unknown(),
})
const told = z.discriminatedUnion('type', [ask, answerPart])

/** What every node can be asked. */
export interface Question<With, Answer> {
  /** The same on all nodes; 32 characters at most. */
  readonly kind: string
  readonly with: z.ZodType<With>
  readonly answer: z.ZodType<Answer>
  /** This node's own answer, as JSON up to ANSWER_CHARACTERS; carries out what is asked for. */
  carryOut(asked: With): Answer | Promise<Answer>
}

/** Of all nodes, the asking one included; `missing` has the ids of those that have not answered within a second. */
export interface NodesAsked {
  asked: number
  answered: number
  missing: string[]
}

/** What came of a question. */
export interface Asked<Answer> {
  /** `node` when the bridge is away: no other node was asked. */
  scope: Scope
  answers: Answer[]
  nodes: NodesAsked
}

/** The clients that nodes count, all together. */
export function summed({ scope, answers, nodes }: Asked<number>) {
  return { scope, clients: answers.reduce((sum, count) => sum + count, 0), nodes }
}

/** Questions to all nodes, over the bridge's node channel. A node that has gone is missing, and no error. */
export class Questions {
  readonly #bridge: Bridge
  readonly #log: Log
  readonly #known = new Map<string, Question<unknown, unknown>>()
  /** Those that wait for answers, by id. */
  readonly #polls = new Map<string, Poll<unknown>>()
  #asked = 0
  #warnedAtMs = -Infinity

  constructor(bridge: Bridge, log: Log) {
    this.#bridge = bridge
    this.#log = log
  }

  /** From now on this node answers it. */
  add<With, Answer>(question: Question<With, Answer>): void {
    this.#known.set(question.kind, question as Question<unknown, unknown>)
  }

  /** Asks this node and all others that it knows of. Rejects only where this node itself cannot answer. */
  async ask<With, Answer>(question: Question<With, Answer>, asked: With): Promise<Asked<Answer>> {
    const { kind } = question
    const own = Promise.resolve(question.carryOut(asked))
    const poll = new Poll(this.#bridge.others(), question.answer)
    const count = poll.missing.size + 1
    const id = String(++this.#asked)
    this.#polls.set(id, poll)
    try {
      const tell = this.#bridge.tell(JSON.stringify({ type: 'ask', id, kind, with: asked }))
      const [scope, here] = await Promise.all([tell, own])
      if (scope === 'cluster') await poll.done(DEADLINE_MS)
      const missing = [...poll.missing]
      const nodes = { asked: count, answered: count - missing.length, missing }
      return { scope, answers: [here, ...poll.answers], nodes }
    } finally {
      this.#polls.delete(id)
    }
  }

  /** Takes what another node tells. */
  hear(from: string, text: string): void {
    const parsed = told.safeParse(parseJson(text))
    if (!parsed.success) this.#warn('no question and no answer')
    else if (parsed.data.type === 'answer') this.#polls.get(parsed.data.id)?.take(from, parsed.data)
    else void this.#answer(from, parsed.data)
  }

  /** Waits for nobody any more. */
  close(): void {
    for (const poll of this.#polls.values()) poll.end()
  }

  async #answer(from: string, { id, kind, with: asked }: z.infer<typeof ask>): Promise<void> {
    const text = await this.#ownAnswer(kind, asked)
    const parts = text === undefined ? 0 : Math.ceil(text.length / PART_CHARACTERS)
    // Without an answer one part says so, and nobody waits.
    for (let index = 0; index < Math.max(1, parts); index++) {
      const at = index * PART_CHARACTERS
      const part: AnswerPart = {
        type: 'answer',
        id,
        index,
        parts,
        text: text?.slice(at, at + PART_CHARACTERS) ?? '',
      }
      // One by one, so that a large answer does not fill the connection.
      if ((await this.#bridge.tell(JSON.stringify(part), from)) === 'node') return
    }
  }

  /** As JSON; undefined when there is none. Never rejects. */
  async #ownAnswer(kind: string, asked: unknown): Promise<string | undefined> {
    const question = this.#known.get(kind)
    const parsed = question?.with.safeParse(asked)
    if (question === undefined || parsed?.success !== true) {
      this.#warn('a question that this version does not know')
      return undefined
    }
    try {
      const text = JSON.stringify(await question.carryOut(parsed.data))
      if (text.length <= ANSWER_CHARACTERS) return text
      this.#log.warn({ kind, characters: text.length }, "an answer to another node's question is too large")
    } catch (error) {
      this.#log.error({ err: error, kind }, "another node's question could not be answered")
    }
    return undefined
  }

  #warn(reason: string): void {
    const now = performance.now()
    if (now - this.#warnedAtMs < WARNING_MS) return
    this.#warnedAtMs = now
    this.#log.warn({ reason }, 'dropped what another node has told')
  }
}

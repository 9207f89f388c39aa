import { z } from 'zod'

/** An answer travels in parts of so many characters: escaped and encoded, each fits into one tell. */
export const PART_CHARACTERS = 10_000
/** One node's answer at most, as JSON. */
export const ANSWER_CHARACTERS = 1_000_000
const PARTS = Math.ceil(ANSWER_CHARACTERS / PART_CHARACTERS)

/** A part of a node's answer. */
export const answerPart = z.object({
  type: z.literal('answer'),
  /** The question's, given by who asked. */
  id: z.string().max(32),
  index: z.int().min(0).max(PARTS),
  /** How many there are; 0 when the node cannot answer. */
  parts: z.int().min(0).max(PARTS),
  text: z.string().max(PART_CHARACTERS),
})
export type AnswerPart = z.infer<typeof answerPart>

/** The other nodes' answers to one question, as they come. */
export class Poll<Answer> {
  readonly answers: Answer[] = []
  /** The nodes that have not given an answer. */
  readonly missing: Set<string>
  readonly #schema: z.ZodType<Answer>
  /** What has come so far of those whose answers may still come. */
  readonly #waiting: Map<string, { parts: number; text: string }>
  #onDone: (() => void) | undefined

  constructor(nodes: readonly string[], schema: z.ZodType<Answer>) {
    this.missing = new Set(nodes)
    this.#schema = schema
    this.#waiting = new Map(nodes.map((node) => [node, { parts: 0, text: '' }]))
  }

  /** Takes what a node says, where it was asked; a part that comes twice counts once. */
  take(node: string, { index, parts, text }: AnswerPart): void {
    const got = this.#waiting.get(node)
    if (got === undefined || (parts > 0 && index !== got.parts)) return
    got.parts++
    got.text += text
    if (got.parts < parts) return
    this.#waiting.delete(node)
    const answer = this.#schema.safeParse(parts === 0 ? undefined : parseJson(got.text))
    if (answer.success) {
      this.answers.push(answer.data)
      this.missing.delete(node)
    }
    if (this.#waiting.size === 0) this.end()
  }

  /** Resolves when nobody is waited for any more, or after `ms`. */
  done(ms: number): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end(), ms)
      this.#onDone = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Waits for nobody any more. */
  end(): void {
    this.#waiting.clear()
    this.#onDone?.()
  }
}

/** undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

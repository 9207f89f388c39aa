import { z } from 'zod'
import { loggedText } from '../logged-text.ts'
import { Denial, refusedFor } from './hooks.ts'

// Strict: of an answer with a slip in it nobody knows whether it was a no.
const refuse = z.string().optional()
const value = z.unknown().optional()
export const connectAnswer = z.strictObject({ refuse, info: value, rooms: value, can: value })
export const joinAnswer = z.strictObject({ refuse })
export const callAnswer = z.strictObject({
  refuse,
  result: value,
  error: z.literal('unknown_method').optional(),
})
const aloneRefuse = z.strictObject({ refuse: z.string() })
export const publishAnswer = z.strictObject({ refuse, content: value })

/** What a hook has said, or its no. No value at all changes nothing. Throws for what is no answer. */
export function readAnswer<T extends { refuse?: string | undefined }>(
  schema: z.ZodType<T>,
  given: unknown,
): T | Denial {
  const read = schema.safeParse(given ?? {})
  if (!read.success)
    throw new TypeError(`no answer of a hook: ${loggedText(read.error.issues[0]?.message ?? '')}`)
  const { refuse, ...others } = read.data
  if (refuse === undefined) return read.data
  if (Object.values(others).some((other) => other !== undefined))
    throw new TypeError('no answer of a hook: a no, and something else beside it')
  return refusedFor(refuse)
}

/** What a connect hook has changed; undefined for nothing. */
export function changesOf(given: unknown): Record<string, unknown> | Denial | undefined {
  const answer = readAnswer(connectAnswer, given)
  if (answer instanceof Denial) return answer
  // A claim without a value would be one that is not there, and another rule would hold.
  const changes = Object.entries(answer).filter(([, change]) => change !== undefined)
  return changes.length === 0 ? undefined : Object.fromEntries(changes)
}

/** A call's no: any other value may be its result. */
export function refusalAlone(given: unknown): Denial | undefined {
  const { success, data } = aloneRefuse.safeParse(given)
  return success ? refusedFor(data.refuse) : undefined
}

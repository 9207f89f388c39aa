import { isUtf8 } from 'node:buffer'
import type { z } from 'zod'
import { sliceItems, sliceValue } from '../../src/protocol/content-slice.ts'
import { Problem } from './problem.ts'

/** No request has as many. */
const FIELDS_MAX = 32
/** Where something is wrong that has no place of its own. */
const THE_REQUEST = 'the request'
const UNKNOWN_FIELD = 'has a field that there is not'

/** A request's JSON: text that is valid UTF-8, so that a content can go on byte for byte. */
export function textOf(body: unknown): string {
  if (!Buffer.isBuffer(body) || body.length === 0) throw new Problem('bad_request', 'a JSON body is needed')
  if (!isUtf8(body)) throw new Problem('bad_request', 'the body is not UTF-8')
  return body.toString()
}

/** An object with a `content`, which stays the sender's own text. */
export function readMessage<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
  limits: { maxNesting: number; maxMessageBytes: number },
): z.output<Schema> {
  const value = objectIn(text)
  // The schema would write down the name of each.
  if (Object.keys(value).length > FIELDS_MAX)
    throw new Problem('bad_request', `${THE_REQUEST}: ${UNKNOWN_FIELD}`)
  const slice = sliceValue(text, 'content', limits.maxNesting)
  if (slice.tooDeep) throw new Problem('bad_request', `nested deeper than ${limits.maxNesting}`)
  if (slice.value !== undefined && Buffer.byteLength(slice.value) > limits.maxMessageBytes)
    throw new Problem('too_large', `a content has ${limits.maxMessageBytes} bytes at most`)
  value.content = slice.value
  return check(value, schema)
}

/** The texts of a list's items. */
export function itemsOf(text: string, max: number, maxNesting: number): string[] {
  const list = parse(text)
  if (!Array.isArray(list) || list.length === 0 || list.length > max)
    throw new Problem('bad_request', `a list has 1 to ${max} items`)
  const items = sliceItems(text, maxNesting)
  if (items === undefined) throw new Problem('bad_request', `nested deeper than ${maxNesting}`)
  return items
}

/** An object that may be left out. */
export function readOptions<Schema extends z.ZodType>(body: unknown, schema: Schema): z.output<Schema> {
  const isEmpty = body === undefined || body === null || (Buffer.isBuffer(body) && body.length === 0)
  return check(isEmpty ? {} : objectIn(textOf(body)), schema)
}

function objectIn(text: string): { content?: unknown } {
  const value = parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Problem('bad_request', 'the body must be a JSON object')
  return value
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem('bad_request', 'the body is not JSON')
  }
}

/** The first thing that is wrong, by its place and the schema's own words. */
export function check<Schema extends z.ZodType>(value: unknown, schema: Schema): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  if (issue?.code === 'custom' && issue.params?.code === 'bad_room')
    throw new Problem('bad_room', issue.message)
  const place = issue?.path.map(String).join('.') || THE_REQUEST
  throw new Problem('bad_request', `${place}: ${wordsOf(issue)}`)
}

/** zod repeats names that it does not know, and those are the peer's. */
function wordsOf(issue: z.core.$ZodIssue | undefined): string {
  return issue === undefined || issue.code === 'unrecognized_keys' ? UNKNOWN_FIELD : issue.message
}

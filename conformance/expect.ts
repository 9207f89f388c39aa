import { isDeepStrictEqual } from 'node:util'
import { Failure } from './check.ts'

/** So much of a value is shown. */
const SHOWN_CHARS = 200

export function expectTrue(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Failure(what)
}

/** Both are the same as JSON values. */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, expected))
    throw new Failure(`${what} is ${shown(actual)}, not ${shown(expected)}`)
}

/** The object has these fields, with these values, and not those that are `undefined` here; others may be there. */
export function expectFields(actual: object, fields: Record<string, unknown>, what: string): void {
  const got = actual as Record<string, unknown>
  for (const [name, expected] of Object.entries(fields)) {
    if (isDeepStrictEqual(got[name], expected)) continue
    const wanted = expected === undefined ? 'must not be there' : `is not ${shown(expected)}`
    throw new Failure(`${what}: \`${name}\` ${wanted} in ${shown(actual)}`)
  }
}

/** The text of a value in one line, cut where it is long. */
export function shown(value: unknown): string {
  const whole = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  const text = whole.replace(/\s*[\r\n]\s*/g, ' ')
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text
}

import type { SchemaIssue, SchemaResult, StandardSchema } from './standard-schema.ts'

/** Where a schema refuses, and why, in at most this many characters. */
const FAULT_CHARS = 200

/** A schema that gives no answer by then has failed: its client's other requests wait behind it. */
const ANSWER_MS = 3000

/**
 * What is wrong with a content, which is valid JSON text: where in it, and what the schema says of that. Undefined when
 * nothing is. A promise where the schema gives one. A fault of the schema itself is thrown.
 */
export function contentFault(
  schema: StandardSchema,
  content: string,
): string | undefined | Promise<string | undefined> {
  const result = schema['~standard'].validate(JSON.parse(content))
  // Whatever can be awaited is: taken for a result, it would be one without issues.
  const read = (result: SchemaResult) => faultIn(result, 'content')
  return 'then' in result ? answered(Promise.resolve(result)).then(read) : read(result)
}

/** Rejects when there is no answer in time. */
async function answered(result: Promise<SchemaResult>): Promise<SchemaResult> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`a content's schema has not answered in ${ANSWER_MS} ms`)),
      ANSWER_MS,
    )
  })
  try {
    return await Promise.race([result, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What a schema says against a value; `name` is the field that it was in. */
export function faultIn({ issues }: SchemaResult, name: string): string | undefined {
  if (issues === undefined) return undefined
  const [issue] = issues
  if (issue === undefined) return `${name}: refused`
  return `${name}${placeOf(issue)}: ${issue.message}`.slice(0, FAULT_CHARS)
}

/** As `.items[0].price`. */
function placeOf({ path = [] }: SchemaIssue): string {
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part))
  return keys.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
}

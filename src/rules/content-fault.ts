import type { SchemaIssue, SchemaResult, StandardSchema } from './standard-schema.ts'

/** Where a schema refuses, and why, in at most this many characters. */
const FAULT_CHARS = 200

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
  return 'then' in result ? Promise.resolve(result).then(read) : read(result)
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

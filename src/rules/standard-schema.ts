/**
 * What zod, valibot, arktype and others share (standardschema.dev, version 1): a check of a value that is none of ours.
 * `Input` is what it takes.
 */
export interface StandardSchema<Input = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>
    /** For the compiler alone. */
    readonly types?: { readonly input: Input; readonly output: unknown } | undefined
  }
}

/** `issues` are there when the value was refused. */
export interface SchemaResult {
  readonly issues?: readonly SchemaIssue[] | undefined
}

/** What is wrong, and where: keys from the outside in. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Whether a value is such a schema. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  const standard = (value as Partial<StandardSchema>)['~standard']
  return typeof standard === 'object' && typeof standard?.validate === 'function'
}

/**
 * What zod, valibot, arktype and others share (standardschema.dev, version 1): a check of a value that is none of ours.
 * `Input` is what it takes, `Output` what it makes of that.
 */
export interface StandardSchema<Input = unknown, Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    /** For the compiler alone. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** `issues` are there when the value was refused, else `value` is what was made of it. */
export interface SchemaResult<Output = unknown> {
  readonly value?: Output
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

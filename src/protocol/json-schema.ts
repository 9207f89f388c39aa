import { z } from 'zod'

/** A zod schema as JSON Schema, for the documents that others generate clients from; of a value that is read or written. */
export function jsonSchemaOf(
  schema: z.ZodType,
  io: 'input' | 'output',
  target: 'draft-7' | 'draft-2020-12' = 'draft-2020-12',
): object {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    ...{ io, target },
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (jsonSchema.json !== true) return
      // Any JSON: its text is cut out before the schema sees it.
      delete jsonSchema.json
      delete jsonSchema.type
      jsonSchema.description = 'Any JSON, relayed byte for byte.'
    },
  })
  return json
}

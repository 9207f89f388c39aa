// Values that a JSON Schema allows, and such that it nearly does.
import fc from 'fast-check'

export interface JsonSchema {
  type?: string
  const?: unknown
  anyOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  minItems?: number
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  pattern?: string
}

/** More of a list, or of a text without bounds, tells nothing new. */
const ITEMS = 4
const CHARACTERS = 64

/** A value of the schema; where `nearly`, now and then one part of it is anything else, or missing, or unknown. */
export function allowedBy(schema: JsonSchema, nearly: boolean): fc.Arbitrary<unknown> {
  const right = rightBy(schema, nearly)
  if (!nearly) return right
  return fc.oneof({ arbitrary: right, weight: 12 }, { arbitrary: fc.jsonValue(), weight: 1 })
}

function rightBy(schema: JsonSchema, nearly: boolean): fc.Arbitrary<unknown> {
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((one) => allowedBy(one, nearly)))
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.type === 'object') return objectOf(schema, nearly)
  if (schema.type === 'array') {
    const { items = {}, minItems: minLength = 0 } = schema
    return fc.array(allowedBy(items, nearly), { minLength, maxLength: minLength + ITEMS })
  }
  if (schema.type === 'integer')
    return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1e9, 2 ** 31 - 1) })
  if (schema.type === 'boolean') return fc.boolean()
  if (schema.type === 'string') return textOf(schema, nearly)
  return fc.jsonValue()
}

function objectOf({ properties = {}, required = [] }: JsonSchema, nearly: boolean): fc.Arbitrary<object> {
  const entries = Object.entries(properties).map(([name, one]) => [name, allowedBy(one, nearly)] as const)
  const fields = Object.fromEntries(entries)
  const right = fc.record(fields, { requiredKeys: required })
  if (!nearly) return right
  const odd = fc.record({ ...fields, unknown: fc.jsonValue() }, { requiredKeys: [] })
  return fc.oneof({ arbitrary: right, weight: 12 }, { arbitrary: odd, weight: 1 })
}

function textOf({ pattern, minLength = 0, maxLength }: JsonSchema, nearly: boolean): fc.Arbitrary<string> {
  // What a look-ahead forbids comes by chance alone, once in very many times.
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern.replaceAll(/\(\?![^)]*\)/g, '')))
  const most = Math.min(maxLength ?? CHARACTERS, minLength + CHARACTERS)
  const right = fc.string({ minLength, maxLength: most })
  if (!nearly || maxLength === undefined) return right
  const atTheBound = fc.string({ minLength: maxLength, maxLength: maxLength + 1 })
  return fc.oneof({ arbitrary: right, weight: 6 }, { arbitrary: atTheBound, weight: 1 })
}

import { faultIn } from '../rules/content-fault.ts'
import type { SchemaResult, StandardSchema } from '../rules/standard-schema.ts'
import type { CallContext } from './asked.ts'
import { Denial } from './hooks.ts'

/** Carries out a call; its value, or what its promise brings, is the result. `{ refuse }` alone is a no. */
export type CallHandler<Params = unknown> = (params: Params, call: CallContext) => unknown

/** What a schema makes of what it takes. */
type OutputOf<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['output']

/** A call whose params are checked. Made by `defineCall`, which alone knows that its handler fits its schema. */
export class DefinedCall {
  readonly #params: StandardSchema
  readonly #handle: CallHandler

  constructor(params: StandardSchema, handle: CallHandler) {
    this.#params = params
    this.#handle = handle
  }

  readonly carryOut: CallHandler = (params, call) => {
    const proceed = (result: SchemaResult) => {
      const fault = faultIn(result, 'params')
      return fault === undefined ? this.#handle(result.value, call) : new Denial('bad_content', fault)
    }
    const result = this.#params['~standard'].validate(params)
    return 'then' in result ? Promise.resolve(result).then(proceed) : proceed(result)
  }
}

/** A call whose params a Standard Schema checks (zod and others): `handle` gets what that has made of them. */
export function defineCall<Schema extends StandardSchema>(call: {
  params: Schema
  handle: CallHandler<OutputOf<Schema>>
}): DefinedCall {
  return new DefinedCall(call.params, call.handle as CallHandler)
}

/** What clients may call, by method. */
export type Calls = Readonly<Record<string, CallHandler | DefinedCall>>

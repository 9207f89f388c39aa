import type { CallContext } from './questions.ts'

/** Carries out a call; its value, or what its promise brings, is the result. `{ refuse }` alone is a no. */
export type CallHandler<Params = unknown> = (params: Params, call: CallContext) => unknown

/** What clients may call, by method. */
export type Calls = Readonly<Record<string, CallHandler>>

import type { Test } from 'tap'
import { type Hooked, type Host, hookContract, type Options, serve } from '../support/hook-contract.ts'

/** The host's functions as they are registered. */
function start(t: Test, { calls = {}, ...hooks }: Host, options: Options = {}): Promise<Hooked> {
  return serve(t, { ...options, hooks: hooks as never, calls: calls as never })
}

hookContract('local', { start, thrown: 'internal' })

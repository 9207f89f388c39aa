import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock } from '../src/clock.ts'
import { type Config, ConfigError } from '../src/config.ts'
import type { Calls } from '../src/hooks/calls.ts'
import { HookBounds } from '../src/hooks/hook-bounds.ts'
import type { Hooks } from '../src/hooks/hooks.ts'
import { type HookFunctions, LocalHooks } from '../src/hooks/local-hooks.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined when none is set. */
    roomcastHooks: Hooks | undefined
  }
}

export interface HooksPluginOptions {
  config: Config
  functions: HookFunctions
  calls: Calls
}

/** Decorates with what is asked before clients' requests are carried out. */
export const hooksPlugin = fp(
  async (app: FastifyInstance, { config, functions, calls }: HooksPluginOptions) => {
    checkFunctions(functions, calls)
    const isSet = Object.keys(functions).length + Object.keys(calls).length > 0
    const bounds = new HookBounds({ ...config, log: app.log, clock: systemClock })
    app.decorate('roomcastHooks', isSet ? new LocalHooks({ ...config, functions, calls, bounds }) : undefined)
  },
  { name: 'roomcast-hooks' },
)

function checkFunctions(functions: HookFunctions, calls: Calls): void {
  for (const [name, hook] of Object.entries(functions)) {
    if (!['connect', 'join', 'publish'].includes(name)) throw new ConfigError(`hooks.${name}: no such hook`)
    if (typeof hook !== 'function') throw new ConfigError(`hooks.${name}: must be a function`)
  }
  for (const [method, handle] of Object.entries(calls)) {
    if (method.length < 1 || method.length > 128)
      throw new ConfigError('calls: a method has 1 to 128 characters')
    if (typeof handle !== 'function') throw new ConfigError(`calls.${method}: must be a function`)
  }
}

import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock } from '../src/clock.ts'
import { type Config, ConfigError } from '../src/config.ts'
import { type Calls, DefinedCall } from '../src/hooks/calls.ts'
import { HookBounds } from '../src/hooks/hook-bounds.ts'
import type { Hooks } from '../src/hooks/hooks.ts'
import { type HookFunctions, LocalHooks } from '../src/hooks/local-hooks.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined when none is set. */
    roomcastHooks: Hooks | undefined
    /** How they do; undefined when none is set. */
    roomcastHookBounds: HookBounds | undefined
  }
}

export interface HooksPluginOptions {
  config: Config
  functions: HookFunctions
  calls: Calls
}

/** Decorates with what is asked before clients' requests are carried out: the app's functions, or a back end. */
export const hooksPlugin = fp(
  async (app: FastifyInstance, { config, functions, calls }: HooksPluginOptions) => {
    checkFunctions(functions, calls)
    const areGiven = Object.keys(functions).length + Object.keys(calls).length > 0
    if (areGiven && config.hookUrl !== undefined)
      throw new ConfigError('hookUrl: hooks and calls are functions already')
    const bounds = new HookBounds({ ...config, log: app.log, clock: systemClock })
    const isSet = areGiven || config.hookUrl !== undefined
    app.decorate('roomcastHookBounds', isSet ? bounds : undefined)
    if (config.hookUrl !== undefined) {
      app.decorate('roomcastHooks', await httpHooks(app, config, config.hookUrl, bounds))
    } else {
      const local = areGiven ? new LocalHooks({ ...config, functions, calls, bounds }) : undefined
      app.decorate('roomcastHooks', local)
    }
  },
  { name: 'roomcast-hooks' },
)

/** What else an answer may hold, beside a content or a result of MAX_MESSAGE_BYTES. */
const ANSWER_BYTES = 4096

async function httpHooks(
  app: FastifyInstance,
  config: Config,
  url: string,
  bounds: HookBounds,
): Promise<Hooks> {
  // Loaded where it is wanted: an HTTP client takes time and memory.
  const { BackEnd } = await import('../src/hooks/back-end.ts')
  const { HttpHooks } = await import('../src/hooks/http-hooks.ts')
  const backEnd = new BackEnd({
    url,
    secrets: config.hookSecret,
    connections: config.hookMaxPending,
    maxBytes: config.maxMessageBytes + ANSWER_BYTES,
    bounds,
    clock: systemClock,
  })
  app.addHook('onClose', () => backEnd.close())
  return new HttpHooks({ ...config, backEnd, bounds })
}

function checkFunctions(functions: HookFunctions, calls: Calls): void {
  for (const [name, hook] of Object.entries(functions)) {
    if (!['connect', 'join', 'publish'].includes(name)) throw new ConfigError(`hooks.${name}: no such hook`)
    if (typeof hook !== 'function') throw new ConfigError(`hooks.${name}: must be a function`)
  }
  for (const [method, handle] of Object.entries(calls)) {
    if (method.length < 1 || method.length > 128)
      throw new ConfigError('calls: a method has 1 to 128 characters')
    if (typeof handle !== 'function' && !(handle instanceof DefinedCall))
      throw new ConfigError(`calls.${method}: must be a function, or made by defineCall`)
  }
}

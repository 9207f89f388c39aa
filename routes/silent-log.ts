import type { FastifyBaseLogger } from 'fastify'

function nothing(): void {}

/**
 * A logger with the methods of `log` that writes nothing. The level `silent` would ask as much of the host's logger,
 * and not every one listens to what `child()` is given.
 */
export function silenced(log: FastifyBaseLogger): FastifyBaseLogger {
  const silent: Record<string, unknown> = { level: 'silent', child: () => silent }
  // Hooks may call whatever the host's logger has.
  for (let part: object | null = log; part !== null && part !== Object.prototype; ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(part))) {
      if (typeof value === 'function' && !(name in silent)) silent[name] = nothing
    }
    part = Object.getPrototypeOf(part)
  }
  return silent as unknown as FastifyBaseLogger
}

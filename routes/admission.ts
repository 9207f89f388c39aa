import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Refusal } from '../src/auth/refusal.ts'
import type { Config } from '../src/config.ts'

/** What is checked of everybody who wants to be a client, on whatever transport. */
export interface Admission {
  /** Throws a Refusal while the node takes nobody, or not from this origin. */
  check(request: FastifyRequest): void
  /** The same when there is no descriptor for another. */
  checkDescriptors(request: FastifyRequest): void
}

export function admissionOf(app: FastifyInstance, { allowedOrigins }: Config): Admission {
  const { hub, roomcastDescriptors: descriptors } = app
  const origins = new Set(allowedOrigins)
  return {
    check({ headers }) {
      if (hub.isDraining) throw new Refusal('draining', 'shutting down', { headers: { 'retry-after': '1' } })
      if (hub.isFull)
        throw new Refusal('full', 'the client limit is reached', { headers: { 'retry-after': '5' } })
      if (origins.size > 0 && headers.origin !== undefined && !origins.has(headers.origin)) {
        throw new Refusal('origin_refused', 'this origin may not connect')
      }
    },
    checkDescriptors({ raw }) {
      if (!descriptors.isReserved(raw.socket)) return
      descriptors.refuse()
      throw new Refusal('full', 'descriptors run out', { headers: { 'retry-after': '5' } })
    },
  }
}

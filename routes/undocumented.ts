import type { FastifySchema } from 'fastify'

/** A route's schema that keeps it out of the host's OpenAPI document, which has no words for methods such as QUERY. */
export const undocumented = { hide: true } as FastifySchema

import type { FastifyRequest } from 'fastify'
import { userName } from '../../src/auth/permissions.ts'
import { isRoomName } from '../../src/protocol/envelope.ts'
import { Problem } from './problem.ts'

/** The room that the path names. */
export function roomIn({ params }: FastifyRequest): string {
  const { room } = params as { room: string }
  if (!isRoomName(room))
    throw new Problem('bad_room', 'a room has 1 to 128 bytes of UTF-8 without control characters')
  return room
}

/** The user that the path names. */
export function userIn({ params }: FastifyRequest): string {
  const { user } = params as { user: string }
  if (!userName.safeParse(user).success) throw new Problem('bad_request', 'a user has 1 to 256 characters')
  return user
}

/** Another name in the path: a client's, or a token's. */
export function nameIn({ params }: FastifyRequest, name: 'client' | 'jti', max: number): string {
  const value = (params as Record<string, string>)[name] ?? ''
  if (value.length < 1 || value.length > max)
    throw new Problem('bad_request', `${name}: 1 to ${max} characters`)
  return value
}

import type { JoinRequest, Position } from '../protocol/envelope.ts'
import { decodePositions } from '../protocol/positions.ts'

/** No room was ever there: its join is answered with `recovered: false`. */
const nowhere: Position = { epoch: '-', offset: 0 }

/**
 * The joins of the rooms that a token names. `since` is the query's: undefined for none, else the text of positions
 * (src/protocol/positions.ts), of which each room goes on from its own. One that cannot be read is a position lost.
 */
export function joinsOf(rooms: readonly string[], since: unknown): JoinRequest[] {
  const positions = since === undefined ? new Map<string, Position>() : decodePositions(since)
  return rooms.map((room) => {
    const position = positions === undefined ? nowhere : positions.get(room)
    return { type: 'join', room, ...(position !== undefined && { since: position }) }
  })
}

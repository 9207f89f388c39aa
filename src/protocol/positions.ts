import { z } from 'zod'
import { isRoomName, type Position, position } from './envelope.ts'

/** A text of positions has at most so many characters: it stands in a request's target. */
export const POSITIONS_MAX_CHARS = 8192

const list = z.array(z.tuple([z.string().refine(isRoomName), position.shape.epoch, position.shape.offset]))

/** No epoch is longer, and no offset. */
const LONGEST: Position = { epoch: 'e'.repeat(20), offset: Number.MAX_SAFE_INTEGER }

/** Whether positions of all these rooms will be read again, whatever they come to be. */
export function havePositions(rooms: Iterable<string>): boolean {
  return encodePositions(Array.from(rooms, (room) => [room, LONGEST])).length <= POSITIONS_MAX_CHARS
}

/** The positions of several rooms as one text for `?since=`: base64url of the JSON `[[room, epoch, offset], …]`. */
export function encodePositions(positions: Iterable<readonly [room: string, position: Position]>): string {
  const entries = Array.from(positions, ([room, { epoch, offset }]) => [room, epoch, offset])
  // btoa takes bytes, and JSON may write every other character as an escape.
  const ascii = JSON.stringify(entries).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return btoa(ascii).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** What such a text says, of each room the last; undefined for whatever else it may be. */
export function decodePositions(text: unknown): ReadonlyMap<string, Position> | undefined {
  if (typeof text !== 'string' || text.length > POSITIONS_MAX_CHARS) return undefined
  if (!/^[\w-]+=*$/.test(text)) return undefined
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (byte) =>
      byte.charCodeAt(0),
    )
    const parsed = list.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    return parsed.data && new Map(parsed.data.map(([room, epoch, offset]) => [room, { epoch, offset }]))
  } catch {
    // Neither base64 nor UTF-8 nor JSON.
    return undefined
  }
}

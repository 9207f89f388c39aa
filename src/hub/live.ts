import type { Position } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import { textFrame } from './frame.ts'

/** A message on its way to a room's members, or to everybody. */
export interface Live {
  /**
   * `live`: the bridge brings it, in its place. `replayed`: it was missed, and read from the history. `early`: earlier
   * ones may still come. `late`: of an epoch that is past. The texts of the last two have no offset.
   */
  readonly kind: 'live' | 'replayed' | 'early' | 'late'
  /** The outgoing text, or its UTF-8 bytes. */
  readonly text: string | Buffer
  readonly frame: Buffer
  /** The client that must not get it. */
  readonly excluded: Client | undefined
  readonly position: Position | undefined
  /** Of an idempotent publish (Delivery). */
  readonly mark?: string | undefined
}

/** Whether members see an offset in it. */
export function hasOffset({ kind, position }: Live): boolean {
  return position !== undefined && (kind === 'live' || kind === 'replayed')
}

/** A message that was read from the history. */
export function replayed(text: string | Buffer, position: Position, excluded: Client | undefined): Live {
  return { kind: 'replayed', text, frame: textFrame(text), excluded, position }
}

/** The text without its end, and so without its offset: `messageHead` made it. */
export function headOf(live: Live): string | Buffer {
  const { text, position } = live
  const end = hasOffset(live) ? `,"offset":${position?.offset}}`.length : 1
  return typeof text === 'string' ? text.slice(0, -end) : text.subarray(0, -end)
}

/** The same without its offset, for members who were told of another epoch. */
export function withoutOffset(live: Live): Live {
  if (!hasOffset(live)) return live
  const head = headOf(live)
  const text = typeof head === 'string' ? `${head}}` : Buffer.concat([head, closingBrace])
  return { ...live, kind: 'late', text, frame: textFrame(text) }
}

const closingBrace = Buffer.from('}')
const client = '"from":{"client":"'

/** Who sent a message of the history. Quotes in its content come before, those in the user's name are escaped. */
export function senderOf(text: string | Buffer): string {
  const start = text.lastIndexOf(client) + client.length
  return String(text.slice(start)).split('"', 1)[0] ?? ''
}

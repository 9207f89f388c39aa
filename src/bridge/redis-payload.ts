import { createHash } from 'node:crypto'
import type { Position } from '../protocol/envelope.ts'

/** Nodes of another version than this are not understood, and are passed over. */
const VERSION = '1'
/** A header is never longer: five words of a few dozen characters. */
const HEADER_MAX_BYTES = 256
/** What a bridge may add to an inbound message: the envelope round its content. */
export const ENVELOPE_MAX_BYTES = 4096

/** What travels on a room's channel: `<version> <node> <sequence> <exclude> <digest> <offset> <epoch>\n<text>`. */
export interface Payload {
  node: string
  /** The publish's number on its node. */
  sequence: number
  exclude: string | undefined
  position: Position | undefined
  /** The outgoing text, as UTF-8 bytes. */
  text: Buffer
}

/** The part of the header that the publishing node writes; Redis adds the position. `-` stands for none. */
export function payloadHeader(
  node: string,
  sequence: number,
  exclude: string | undefined,
  head: Buffer,
): string {
  const words = `${VERSION} ${node} ${sequence} ${exclude ?? '-'}`
  return `${words} ${digestOf(words, head)}`
}

/**
 * Reads what came on a channel; undefined for anything that no node of this version has published, whoever did.
 * The digest makes sure of that without parsing the text, which goes to clients as it is.
 */
export function readPayload(bytes: Buffer, maxTextBytes: number): Payload | undefined {
  const end = bytes.subarray(0, HEADER_MAX_BYTES).indexOf(10)
  if (end < 0 || bytes.length - end - 1 > maxTextBytes) return undefined
  const words = bytes.toString('latin1', 0, end).split(' ')
  const [version, node, sequence, exclude, digest, offset, epoch] = words
  if (words.length !== 7 || version !== VERSION || node === undefined) return undefined
  const position = readPosition(offset, epoch)
  if (position === null) return undefined
  const text = bytes.subarray(end + 1)
  const tail = offset === '-' ? '}' : `,"offset":${offset}}`
  const head = text.subarray(0, text.length - tail.length)
  if (text.toString('latin1', head.length) !== tail) return undefined
  if (digest !== digestOf(`${version} ${node} ${sequence} ${exclude}`, head)) return undefined
  return {
    node,
    sequence: Number(sequence),
    exclude: exclude === '-' ? undefined : exclude,
    position,
    text,
  }
}

/** null for what is neither a position nor none; the digest does not cover these words. */
function readPosition(offset = '', epoch = ''): Position | undefined | null {
  if (offset === '-' && epoch === '-') return undefined
  return /^\d+$/.test(offset) && epoch !== '' && epoch !== '-' ? { epoch, offset: Number(offset) } : null
}

/** Against accidents and other programs, not against an attacker: who may write to Redis may publish anyway. */
function digestOf(words: string, head: Buffer): string {
  return createHash('sha1').update(words).update(head).digest('base64url')
}

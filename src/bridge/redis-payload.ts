import { crc32 } from 'node:zlib'
import type { Position } from '../protocol/envelope.ts'
import type { Delivery } from './bridge.ts'

/** Nodes of another version than this are not understood, and are passed over. A next one has to read this one too. */
export const PAYLOAD_VERSION = '2'
/** The messages of one payload at most, and the bytes after which it takes no more. */
export const PAYLOAD_MESSAGES = 64
export const PAYLOAD_BYTES = 256 * 1024
/** A header is never longer: a few words, and of each message four numbers or ids of some dozen characters. */
const HEADER_MAX_BYTES = 256 + PAYLOAD_MESSAGES * 96
/** A message in the header: sequence, exclude, mark, bytes of its head. */
const ENTRY = /^(\d+):([^:~]+)(?:~([\w-]+))?:(\d+)$/
/** What a bridge may add to an inbound message: the envelope round its content. */
export const ENVELOPE_MAX_BYTES = 4096

/** A message as its node hands it to Redis. */
export interface OutgoingMessage {
  /** The publish's number on its node. */
  sequence: number
  exclude: string | undefined
  /** Of an idempotent publish, by which nodes know a repeat of it. */
  mark: string | undefined
  /** The outgoing text without its end, as UTF-8 bytes. */
  head: Buffer
}

/** A message as it comes from Redis. */
export interface IncomingMessage extends Delivery {
  sequence: number
}

/**
 * What travels on a room's channel, one or more messages of one node:
 * `<version> <node> <messages> <checksum> <epoch> <first offset> <repeats>\n<text>…`, where each message is
 * `<sequence>:<exclude>:<bytes of its head>`, with commas between. `-` stands for none. Behind the exclude stands `~<mark>` if
 * it has a key: nodes of before marks take that for a client that they do not have.
 */
export interface Payload {
  node: string
  /** In their order, without the repeats of idempotent publishes. */
  messages: IncomingMessage[]
}

/** The part of the header that the publishing node writes; Redis adds the rest when it has given the offsets. */
export function payloadHeader(node: string, messages: readonly OutgoingMessage[]): string {
  const list = messages.map(({ sequence, exclude = '-', head, mark }) => {
    const marked = mark === undefined ? exclude : `${exclude}~${mark}`
    return `${sequence}:${marked}:${head.length}`
  })
  const words = `${PAYLOAD_VERSION} ${node} ${list.join(',')}`
  return `${words} ${checksumOf(
    words,
    messages.map(({ head }) => head),
  )}`
}

/** The whole of it, for messages that get no offsets and are no repeats. */
export function unplacedPayload(node: string, messages: readonly OutgoingMessage[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`${payloadHeader(node, messages)} - - -\n`)]
  for (const { head } of messages) parts.push(head, closingBrace)
  return Buffer.concat(parts)
}
const closingBrace = Buffer.from('}')

/**
 * Reads what came on a channel; undefined for anything that no node of this version has published, whoever did.
 * The checksum makes sure of that without parsing the texts, which go to clients as they are.
 */
export function readPayload(bytes: Buffer, maxTextBytes: number): Payload | undefined {
  const end = bytes.subarray(0, HEADER_MAX_BYTES).indexOf(10)
  if (end < 0) return undefined
  const words = bytes.toString('latin1', 0, end).split(' ')
  const [version, node, list, checksum, epoch, first, repeats] = words
  if (words.length !== 7 || version !== PAYLOAD_VERSION || node === undefined || list === undefined)
    return undefined
  const position = readPosition(first, epoch)
  if (position === null) return undefined
  const entries = list.split(',')
  const skipped = new Set(repeats === '-' ? [] : repeats?.split(','))
  const heads: Buffer[] = []
  const messages: IncomingMessage[] = []
  let at = end + 1
  let offset = position?.offset
  let repeated = 0
  for (const [index, entry] of entries.entries()) {
    const [, sequence, exclude, mark, headBytes] = ENTRY.exec(entry) ?? []
    if (headBytes === undefined) return undefined
    const isRepeat = skipped.has(String(index))
    const tail = isRepeat || offset === undefined ? '}' : `,"offset":${offset}}`
    const headEnd = at + Number(headBytes)
    const textEnd = headEnd + tail.length
    if (bytes.toString('latin1', headEnd, textEnd) !== tail) return undefined
    heads.push(bytes.subarray(at, headEnd))
    if (isRepeat) repeated++
    else {
      // One that is larger than this node allows takes no others with it.
      if (textEnd - at <= maxTextBytes)
        messages.push({
          sequence: Number(sequence),
          exclude: exclude === '-' ? undefined : exclude,
          mark,
          position: position && offset !== undefined ? { epoch: position.epoch, offset } : undefined,
          text: bytes.subarray(at, textEnd),
        })
      if (offset !== undefined) offset++
    }
    at = textEnd
  }
  if (at !== bytes.length || repeated !== skipped.size || entries.length > PAYLOAD_MESSAGES) return undefined
  if (checksum !== checksumOf(`${version} ${node} ${list}`, heads) || messages.length === 0) return undefined
  return { node, messages }
}

/** null for what is neither a position nor none; the checksum does not cover these words. */
function readPosition(offset = '', epoch = ''): Position | undefined | null {
  if (offset === '-' && epoch === '-') return undefined
  return /^\d+$/.test(offset) && epoch !== '' && epoch !== '-' ? { epoch, offset: Number(offset) } : null
}

/** Against accidents and other programs, not against an attacker: who may write to Redis may publish anyway. */
function checksumOf(words: string, heads: readonly Buffer[]): string {
  let checksum = crc32(words)
  for (const head of heads) checksum = crc32(head, checksum)
  return checksum.toString(36)
}

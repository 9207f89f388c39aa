import { crc32 } from 'node:zlib'
import { TELL_MAX_BYTES } from './bridge.ts'

/** Announcements, on the same channel, begin with a brace; nodes that know no tells drop them. */
const WORD = 'tell'
const HEADER_MAX_BYTES = 100
/** An id names a channel. */
const HEADER = /^tell ([\w-]{1,64}) ([0-9a-z]{1,7})$/

/** What one node has told. */
export interface Tell {
  node: string
  text: string
}

/** What travels on the nodes' channels: `tell <node> <checksum>\n<text>`. */
export function tellPayload(node: string, text: string): string {
  return `${WORD} ${node} ${checksumOf(node, text)}\n${text}`
}

export function isTell(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, WORD.length + 1) === `${WORD} `
}

/** undefined for what no node has told. */
export function readTell(bytes: Buffer): Tell | undefined {
  if (bytes.length > TELL_MAX_BYTES + HEADER_MAX_BYTES) return undefined
  const end = bytes.subarray(0, HEADER_MAX_BYTES).indexOf(10)
  const [, node, checksum] = HEADER.exec(bytes.toString('latin1', 0, Math.max(0, end))) ?? []
  if (node === undefined) return undefined
  const text = bytes.toString('utf8', end + 1)
  return checksum === checksumOf(node, text) ? { node, text } : undefined
}

/** Against accidents and other programs: who may publish in Redis may tell anything. */
function checksumOf(node: string, text: string): string {
  return crc32(text, crc32(node)).toString(36)
}

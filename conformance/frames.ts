import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { Failure } from './check.ts'

/** What frames begin with (RFC 6455 section 5.2): FIN and the opcode. */
export const FINAL_TEXT = 0x81
export const RESERVED_OPCODE = 0x83
const CLOSE = 8
const MASKED = 0x80

/** A short frame with a mask, as clients must send them, or without. */
export function frame(first: number, payload: string, isMasked = true): Buffer {
  const bytes = Buffer.from(payload)
  if (!isMasked) return Buffer.concat([Buffer.from([first, bytes.length]), bytes])
  const mask = randomBytes(4)
  const hidden = bytes.map((byte, at) => byte ^ (mask[at % 4] as number))
  return Buffer.concat([Buffer.from([first, MASKED | bytes.length]), mask, hidden])
}

/** Resolves with the code of the server's Close. */
export function closeCode(socket: Socket, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let unread = Buffer.alloc(0)
    const missed = () => reject(new Failure('the socket ended without a Close'))
    const timer = setTimeout(() => reject(new Failure(`no Close within ${timeoutMs} ms`)), timeoutMs)
    socket.on('error', missed).on('close', () => {
      clearTimeout(timer)
      missed()
    })
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk])
      for (let size = sizeOf(unread); size !== undefined && size <= unread.length; size = sizeOf(unread)) {
        if (((unread[0] as number) & 0x0f) === CLOSE) resolve(size < 4 ? 1005 : unread.readUInt16BE(2))
        unread = unread.subarray(size)
      }
    })
  })
}

/** How long the frame is that these bytes begin with; undefined where they do not show it yet. */
function sizeOf(bytes: Buffer): number | undefined {
  const short = (bytes[1] ?? 0) & 0x7f
  if (bytes.length < 2) return undefined
  if (short < 126) return 2 + short
  if (short === 126) return bytes.length < 4 ? undefined : 4 + bytes.readUInt16BE(2)
  return bytes.length < 10 ? undefined : 10 + Number(bytes.readBigUInt64BE(2))
}

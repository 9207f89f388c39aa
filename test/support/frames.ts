// WebSocket frames as bytes: what a test writes by hand, and what it reads back.

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface Frame {
  fin: boolean
  /** The three reserved bits, 0 to 7. */
  rsv: number
  opcode: number
  masked: boolean
  payload: Buffer
  /** When it was read, as performance.now() counts. */
  atMs: number
}

export interface FrameOptions {
  fin?: boolean
  rsv?: number
  /** False leaves the mask out, which breaks the protocol. */
  mask?: boolean
}

/** A client's frame. The mask key is zero, so that payload bytes stay readable in a dump. */
export function frame(opcode: number, payload: string | Buffer = '', options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, mask = true } = options
  const body = Buffer.from(payload)
  const maskBit = mask ? 0x80 : 0
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  let head: Buffer
  if (body.length < 126) {
    head = Buffer.from([first, maskBit | body.length])
  } else if (body.length < 65_536) {
    head = Buffer.from([first, maskBit | 126, 0, 0])
    head.writeUInt16BE(body.length, 2)
  } else {
    head = Buffer.alloc(10)
    head[0] = first
    head[1] = maskBit | 127
    head.writeBigUInt64BE(BigInt(body.length), 2)
  }
  return Buffer.concat(mask ? [head, Buffer.alloc(4), body] : [head, body])
}

export const textFrame = (text: string): Buffer => frame(OPCODE.text, text)

/** A Close frame's payload. */
export function closePayload(code: number, reason: string | Buffer = ''): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason)])
}

/** Bytes written as hex, spaces allowed. */
export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s+/g, ''), 'hex')

/** Cuts a byte stream into frames; large ones are put together once, when their last byte is there. */
export class FrameReader {
  #chunks: Buffer[] = []
  #length = 0
  #needed = 2

  /** The frames that end in this chunk. */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = []
    this.#chunks.push(chunk)
    this.#length += chunk.length
    while (this.#length >= this.#needed) {
      const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks)
      this.#chunks = [bytes]
      const size = frameSize(bytes)
      this.#needed = size.total
      if (bytes.length < size.total || !size.complete) continue
      frames.push(readFrame(bytes.subarray(0, size.total), size.head))
      this.#length -= size.total
      this.#chunks = this.#length > 0 ? [bytes.subarray(size.total)] : []
      this.#needed = 2
    }
    return frames
  }
}

/** How many bytes the frame at the start of `bytes` takes; not `complete` when its header is cut short. */
function frameSize(bytes: Buffer): { head: number; total: number; complete: boolean } {
  const second = bytes[1] as number
  const short = second & 0x7f
  const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
  if (bytes.length < head) return { head, total: head, complete: false }
  const length =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  return { head, total: head + length, complete: true }
}

function readFrame(bytes: Buffer, head: number): Frame {
  const first = bytes[0] as number
  const masked = ((bytes[1] as number) & 0x80) !== 0
  const payload = Buffer.from(bytes.subarray(head))
  if (masked) {
    const key = bytes.subarray(head - 4, head)
    for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (key[i % 4] as number)
  }
  return {
    fin: (first & 0x80) !== 0,
    rsv: (first >> 4) & 7,
    opcode: first & 15,
    masked,
    payload,
    atMs: performance.now(),
  }
}

import type { Socket } from '../../src/hub/socket.ts'

/** A socket whose peer takes bytes only when the test says so. */
export class FakeSocket implements Socket {
  written: Buffer[] = []
  /** Bytes that the kernel still has room for. */
  room = Infinity
  lagMs = 0
  bytesRead = 0
  bytesWritten = 0
  closed: number | undefined
  /** Whether nothing is read from the peer. */
  isPaused = false
  onClose: () => void = () => {}
  #held = 0
  #listeners: (() => void)[] = []

  write(pieces: readonly Buffer[]): boolean {
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
    this.written.push(bytes)
    this.bytesWritten += bytes.length
    const taken = Math.min(bytes.length, this.room)
    this.room -= taken
    this.#held += bytes.length - taken
    return this.#held === 0
  }

  onceTaken(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** The peer reads: the kernel takes so many bytes more. */
  read(bytes: number): void {
    const taken = Math.min(bytes, this.#held)
    this.#held -= taken
    this.room = bytes - taken
    if (this.#held > 0) return
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  close(code: number): void {
    this.closed = code
    this.onClose()
  }
  destroy(): void {
    this.onClose()
  }
  pause(): void {
    this.isPaused = true
  }
  resume(): void {
    this.isPaused = false
  }
}

/** Resolves behind the end of the turn, what its promises have led to included. */
export async function turnEnd(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
}

/** The envelopes in what was written: whole, unmasked text frames; control frames are passed over. */
export function decodeFrames(socket: FakeSocket): Record<string, unknown>[] {
  const bytes = Buffer.concat(socket.written)
  const envelopes: Record<string, unknown>[] = []
  let at = 0
  while (at < bytes.length) {
    const short = (bytes[at + 1] as number) & 127
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6)
    const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
    if (bytes[at] === 0x81) envelopes.push(JSON.parse(bytes.toString('utf8', start, start + length)))
    at = start + length
  }
  return envelopes
}

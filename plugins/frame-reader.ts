import * as ws from 'ws'
import type { Inbox } from '../src/hub/inbox.ts'

/** So much is read before the inbox is asked again: a chunk of small frames can be the work of many milliseconds. */
const PIECE_BYTES = 16_384

type Done = (error?: Error | null) => void
/** What a Writable does with a chunk; the next comes when it is done. */
export type Read = (this: unknown, chunk: Buffer, encoding: BufferEncoding, done: Done) => void

// Exported by ws, but not in its types.
const { Receiver } = ws as unknown as { Receiver: { prototype: { _write: Read } } }
const readAtOnce = Receiver.prototype._write

/**
 * Reads a socket's frames as ws's receiver does, but only while the inbox has time. The receiver is a Writable: what
 * waits holds back what follows, the end included, and the socket is no longer read from.
 */
export function readWhenThereIsTime(inbox: Inbox): Read {
  return function read(chunk, encoding, done) {
    if (!inbox.hasTime) {
      inbox.wait(() => read.call(this, chunk, encoding, done))
    } else if (chunk.length <= PIECE_BYTES) {
      readAtOnce.call(this, chunk, encoding, done)
    } else {
      readAtOnce.call(this, chunk.subarray(0, PIECE_BYTES), encoding, (error) => {
        if (error) done(error)
        else read.call(this, chunk.subarray(PIECE_BYTES), encoding, done)
      })
    }
  }
}

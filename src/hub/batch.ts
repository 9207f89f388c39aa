/** Small frames are joined to chunks of about this many bytes: one write each, and progress shows per chunk. */
export const CHUNK_BYTES = 65_536

/**
 * The frames that a client is to get in one turn of the event loop, as a node of a tree: `append` leads from a
 * batch to the batch with one more frame. Clients that are sent the same frames walk the same nodes, so 500 members
 * of a room share one list of frames and one joined buffer instead of each keeping its own.
 */
export class Batch {
  readonly bytes: number
  readonly #parent: Batch | undefined
  readonly #frame: Buffer | undefined
  #next: Batch | undefined
  #chunks: Buffer[] | undefined

  private constructor(parent: Batch | undefined, frame: Buffer | undefined) {
    this.#parent = parent
    this.#frame = frame
    this.bytes = (parent?.bytes ?? 0) + (frame?.length ?? 0)
  }

  /** A new root. A turn's batches hang on its root, so each turn starts with a new one. */
  static empty(): Batch {
    return new Batch(undefined, undefined)
  }

  append(frame: Buffer): Batch {
    // Members of a room are visited one after the other, so remembering the last branch alone catches nearly all.
    const last = this.#next
    if (last !== undefined && last.#frame === frame) return last
    const next = new Batch(this, frame)
    this.#next = next
    return next
  }

  /** The frames in order, joined to chunks of whole frames; a frame over CHUNK_BYTES is a chunk of its own. */
  chunks(): Buffer[] {
    this.#chunks ??= joinFrames(this.#frames(), this.bytes)
    return this.#chunks
  }

  #frames(): Buffer[] {
    const frames: Buffer[] = []
    for (let batch: Batch | undefined = this; batch !== undefined; batch = batch.#parent) {
      if (batch.#frame !== undefined) frames.push(batch.#frame)
    }
    return frames.reverse()
  }
}

function joinFrames(frames: Buffer[], bytes: number): Buffer[] {
  if (frames.length <= 1) return frames
  if (bytes <= CHUNK_BYTES) return [Buffer.concat(frames, bytes)]
  const chunks: Buffer[] = []
  let run: Buffer[] = []
  let runBytes = 0
  for (const frame of frames) {
    if (runBytes > 0 && runBytes + frame.length > CHUNK_BYTES) {
      chunks.push(run.length === 1 ? (run[0] as Buffer) : Buffer.concat(run, runBytes))
      run = []
      runBytes = 0
    }
    run.push(frame)
    runBytes += frame.length
  }
  chunks.push(run.length === 1 ? (run[0] as Buffer) : Buffer.concat(run, runBytes))
  return chunks
}

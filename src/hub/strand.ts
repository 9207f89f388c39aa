/** Small frames are joined to chunks of about this many bytes: one write each, and progress shows per chunk. */
export const CHUNK_BYTES = 65_536
/** A frame that is there already came with the delivery that is being sent, so it is among the last. */
const NEAR = 64

/**
 * The frames that a room's members are to get in one turn of the event loop, in order. They are joined once; each
 * member's batch knows which stretches of it are its own, so a member that is left out of some costs no bytes.
 */
export class Strand {
  readonly #frames: Buffer[] = []
  readonly #chunks: Buffer[] = []
  /** The first frame of each chunk. */
  readonly #firsts: number[] = []
  /** Where each joined frame begins in its chunk; made when a stretch begins or ends within a chunk. */
  readonly #begins: number[] = []
  #joined = 0

  get length(): number {
    return this.#frames.length
  }

  frame(index: number): Buffer | undefined {
    return this.#frames[index]
  }

  /** Where `frame` is; it is appended when it is not there. */
  place(frame: Buffer): number {
    const frames = this.#frames
    const end = Math.max(0, frames.length - NEAR)
    for (let index = frames.length - 1; index >= end; index--) if (frames[index] === frame) return index
    return frames.push(frame) - 1
  }

  /** All frames, joined to chunks of whole frames; a frame over CHUNK_BYTES is a chunk of its own. */
  chunks(): readonly Buffer[] {
    for (const run of runs(this.#frames, this.#joined)) {
      this.#firsts.push(this.#joined)
      this.#chunks.push(run.length === 1 ? (run[0] as Buffer) : Buffer.concat(run))
      this.#joined += run.length
    }
    return this.#chunks
  }

  /** Adds the bytes of the frames from `from` to before `to`, as parts of the chunks. */
  addStretch(into: Buffer[], from: number, to: number): void {
    const chunks = this.chunks()
    for (let index = this.#chunkOf(from); index < chunks.length; index++) {
      const chunk = chunks[index] as Buffer
      const first = this.#firsts[index] as number
      if (first >= to) break
      const next = this.#firsts[index + 1] ?? this.#joined
      const begin = from <= first ? 0 : this.#begin(from)
      const end = to >= next ? chunk.length : this.#begin(to)
      into.push(begin === 0 && end === chunk.length ? chunk : chunk.subarray(begin, end))
    }
  }

  /** The same as single frames, and nothing is joined. */
  addFrames(into: Buffer[], from: number, to: number): void {
    for (let index = from; index < to; index++) into.push(this.#frames[index] as Buffer)
  }

  #chunkOf(frame: number): number {
    let [low, high] = [0, this.#firsts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#firsts[middle] as number) <= frame) low = middle
      else high = middle - 1
    }
    return low
  }

  #begin(frame: number): number {
    for (let index = this.#begins.length; index <= frame; index++) {
      const isFirst = this.#firsts[this.#chunkOf(index)] === index
      const before = this.#frames[index - 1]?.length ?? 0
      this.#begins.push(isFirst ? 0 : (this.#begins[index - 1] as number) + before)
    }
    return this.#begins[frame] as number
  }
}

/** Frames that follow each other and go in one chunk; the first that does not fit begins the next. */
export function runs(frames: readonly Buffer[], from = 0): Buffer[][] {
  const all: Buffer[][] = []
  let bytes = Infinity
  for (let index = from; index < frames.length; index++) {
    const frame = frames[index] as Buffer
    bytes += frame.length
    if (bytes <= CHUNK_BYTES) {
      all.at(-1)?.push(frame)
    } else {
      all.push([frame])
      bytes = frame.length
    }
  }
  return all
}

import { CHUNK_BYTES, type Strand } from './strand.ts'

/** So few bytes in several pieces are copied into one: cheaper than telling the kernel of each. */
const COPIED_BYTES = 4096
/** The same for neighbours among more bytes: a piece of this size costs as much to point at as to copy. */
const TINY_BYTES = 512

/** Frames of a strand that follow each other, from `from` to before `to`. */
interface Stretch {
  strand: Strand
  from: number
  to: number
}

/**
 * The frames that one client is to get in one turn of the event loop, in order: stretches of its rooms' strands, and
 * between them frames of its own. What is shared costs no bytes here.
 */
export class Batch {
  /** Of all frames. */
  bytes = 0
  /** What is before the last stretch. */
  #parts: (Stretch | Buffer)[] | undefined
  #strand: Strand | undefined
  #from = 0
  #to = 0

  /** Takes the frame on that follows in the strand where this batch is; false when it is another one. */
  follow(frame: Buffer): boolean {
    if (this.#strand?.frame(this.#to) !== frame) return false
    this.#to++
    this.bytes += frame.length
    return true
  }

  /** Takes any frame of a strand on; one that is new to the strand is appended to it. */
  append(strand: Strand, frame: Buffer): void {
    const place = strand.place(frame)
    if (strand !== this.#strand || place !== this.#to) {
      this.#endStretch()
      this.#strand = strand
      this.#from = place
    }
    this.#to = place + 1
    this.bytes += frame.length
  }

  /** Takes a frame on that nobody else gets. */
  appendOwn(frame: Buffer): void {
    this.#endStretch()
    this.#parts ??= []
    this.#parts.push(frame)
    this.bytes += frame.length
  }

  /**
   * All bytes, in pieces of whole frames and of no more than CHUNK_BYTES, but for larger frames. `isAlone`: before the strand
   * has all of its turn, which would be joined in more chunks for everybody.
   */
  pieces(isAlone = false): readonly Buffer[] {
    const strand = this.#strand
    if (
      !isAlone &&
      this.#parts === undefined &&
      strand !== undefined &&
      this.#from === 0 &&
      this.#to === strand.length
    )
      return strand.chunks()
    this.#endStretch()
    const pieces: Buffer[] = []
    for (const part of this.#parts ?? []) {
      if (!('strand' in part)) pieces.push(part)
      else if (isAlone) part.strand.addFrames(pieces, part.from, part.to)
      else part.strand.addStretch(pieces, part.from, part.to)
    }
    if (pieces.length <= 1) return pieces
    return this.bytes <= COPIED_BYTES ? [Buffer.concat(pieces, this.bytes)] : joinTiny(pieces)
  }

  #endStretch(): void {
    if (this.#strand === undefined) return
    this.#parts ??= []
    this.#parts.push({ strand: this.#strand, from: this.#from, to: this.#to })
    this.#strand = undefined
  }
}

/** Joins tiny pieces that follow each other. */
function joinTiny(pieces: readonly Buffer[]): Buffer[] {
  const joined: Buffer[] = []
  let run: Buffer[] = []
  let bytes = 0
  const endRun = () => {
    if (run.length > 0) joined.push(run.length === 1 ? (run[0] as Buffer) : Buffer.concat(run, bytes))
    run = []
    bytes = 0
  }
  for (const piece of pieces) {
    const isTiny = piece.length <= TINY_BYTES
    if (!isTiny || bytes + piece.length > CHUNK_BYTES) endRun()
    if (isTiny) {
      run.push(piece)
      bytes += piece.length
    } else {
      joined.push(piece)
    }
  }
  endRun()
  return joined
}

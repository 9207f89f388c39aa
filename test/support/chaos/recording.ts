// What a chaos run leaves behind: every line of every connection, and the faults. The checker needs nothing else.

/** A text message on the wire, as it was. */
export interface Line {
  atMs: number
  isSent: boolean
  text: string
}

/** One connection of a person, from its welcome to its end. */
export interface Life {
  n: number
  person: string
  /** The node's place in the run, whatever process it is just now. */
  node: number
  lines: Line[]
  /** Undefined for those that were there at the end. */
  endMs?: number
  closeCode?: number
}

/** A fault from its beginning to its end; undefined `nodes` means all. */
export interface Fault {
  kind: string
  detail: string
  nodes: number[] | undefined
  /** Whether Redis (or a memory node) may have lost what it had. */
  isLossy: boolean
  startMs: number
  endMs: number
}

export interface Recording {
  seed: number
  mode: string
  lives: Life[]
  faults: Fault[]
  /** The last fault ended then. */
  calmMs: number
  /** From then on everybody got everything again; undefined if that was waited for in vain. */
  wholeMs: number | undefined
}

/** Begins with no line. Times are of this process's performance.now(). */
export function newRecording(seed: number, mode: string): Recording {
  return { seed, mode, lives: [], faults: [], calmMs: 0, wholeMs: undefined }
}

/** The lines in which a text occurs, by connection, as a person reads them. */
export function linesWith(recording: Recording, word: string): string[] {
  return recording.lives
    .flatMap(({ n, person, node, lines }) =>
      lines
        .filter(({ text }) => text.includes(word))
        .map(({ atMs, isSent, text }) => ({
          atMs,
          text: `${person}/${n}@${node} ${isSent ? '>' : '<'} ${text}`,
        })),
    )
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ atMs, text }) => `${at(atMs)} ${text}`)
}

/** Seconds with three places. */
export function at(ms: number): string {
  return (ms / 1000).toFixed(3)
}

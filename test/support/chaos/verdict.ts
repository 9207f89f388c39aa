import { at, type Fault, type Life, type Recording } from './recording.ts'

/** A break of docs/PROTOCOL.md. */
export interface Violation {
  kind: string
  text: string
  atMs: number
  mid?: string
}

/** A fault shows a little before its time is noted, and until the links are found dead and are back (OPERATIONS.md, Times). */
const BEFORE_MS = 300
const AFTER_MS = 5000

/** Gathers what is wrong, and knows what the faults of the run excuse. */
export class Verdict {
  readonly violations: Violation[] = []
  /** What is allowed, and by how much of it a run can be judged. */
  readonly counts = new Map<string, number>()
  readonly #recording: Recording

  constructor(recording: Recording) {
    this.#recording = recording
  }

  get hasBridge(): boolean {
    return this.#recording.mode !== 'memory'
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by)
  }

  violate(kind: string, life: Life, atMs: number, text: string, mid?: string): void {
    const { person, n, node } = life
    const where = `${at(atMs)} ${person}/${n}@${node}`
    this.violations.push({ kind, text: `${where} ${text}`, atMs, ...(mid !== undefined && { mid }) })
  }

  /** The fault of this node, or of Redis, that a moment lies in. */
  faultAt(node: number, atMs: number): Fault | undefined {
    return this.#recording.faults.find(
      ({ nodes, startMs, endMs }) =>
        (nodes === undefined || nodes.includes(node)) &&
        atMs >= startMs - BEFORE_MS &&
        atMs <= endMs + AFTER_MS,
    )
  }

  /** Whether history may have been lost in a time. */
  mayHaveLost(fromMs: number, toMs: number): boolean {
    return this.#recording.faults.some(
      ({ isLossy, startMs, endMs }) => isLossy && startMs - BEFORE_MS <= toMs && endMs + AFTER_MS >= fromMs,
    )
  }
}

/** The numbers that one client has seen of those that were said: from 0 on, each once and in order, or it is counted. */
export class Numbers {
  /** The one that is due. */
  next = 0
  /** Different ones. */
  count = 0
  /** Gaps, and what came again. */
  faults = 0

  take(n: number): void {
    if (n !== this.next) this.faults++
    // What is no number at all is a fault too.
    if (!(n >= this.next)) return
    this.count++
    this.next = n + 1
  }
}

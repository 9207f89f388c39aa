/** How values are distributed: how many were up to each bound, all in all, and their sum. Only grows. */
export class Distribution {
  /** In ascending order; what is above the last counts in `count` alone. */
  readonly bounds: readonly number[]
  /** For each bound, the values up to it that were above the one before. */
  readonly counts: number[]
  count = 0
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  add(value: number): void {
    this.count++
    this.sum += value
    const index = this.bounds.findIndex((bound) => value <= bound)
    if (index >= 0) this.counts[index] = (this.counts[index] ?? 0) + 1
  }
}

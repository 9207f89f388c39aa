/** What a slow client has missed and has not been told of, by room; undefined stands for broadcasts. */
export class UntoldDrops {
  readonly #tell: (room: string | undefined, count: number) => void
  #counts = new Map<string | undefined, number>()

  constructor(tell: (room: string | undefined, count: number) => void) {
    this.#tell = tell
  }

  add(room: string | undefined): void {
    this.#counts.set(room, (this.#counts.get(room) ?? 0) + 1)
  }

  /** Says what was missed in one room, if anything was. */
  tell(room: string | undefined): void {
    const count = this.#counts.get(room)
    if (count === undefined) return
    this.#counts.delete(room)
    this.#tell(room, count)
  }

  tellAll(): void {
    const counts = this.#counts
    this.#counts = new Map()
    for (const [room, count] of counts) this.#tell(room, count)
  }
}

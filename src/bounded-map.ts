/**
 * Remembers so many entries at most (two or more); beyond that the older half is forgotten at once. (To forget one at a
 * time, a Map would be asked for its oldest key again and again, and passes over all deleted ones each time.)
 */
export class BoundedMap<Key, Value> {
  readonly #half: number
  #older = new Map<Key, Value>()
  #newer = new Map<Key, Value>()

  constructor(max: number) {
    this.#half = Math.max(1, Math.floor(max / 2))
  }

  get(key: Key): Value | undefined {
    return this.#newer.get(key) ?? this.#older.get(key)
  }

  has(key: Key): boolean {
    return this.#newer.has(key) || this.#older.has(key)
  }

  /** Puts the entry behind all others, also one that was there. */
  set(key: Key, value: Value): void {
    this.delete(key)
    if (this.#newer.size >= this.#half) {
      this.#older = this.#newer
      this.#newer = new Map()
    }
    this.#newer.set(key, value)
  }

  delete(key: Key): void {
    if (!this.#newer.delete(key)) this.#older.delete(key)
  }

  /** In the order of setting; entries may be deleted meanwhile. */
  *[Symbol.iterator](): IterableIterator<[Key, Value]> {
    yield* this.#older
    yield* this.#newer
  }
}

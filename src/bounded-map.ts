/** A Map of so many entries at most: a set beyond that forgets the one that was set first. */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #max: number

  constructor(max: number) {
    super()
    this.#max = max
  }

  /** Puts the entry behind all others, also one that was there. */
  override set(key: Key, value: Value): this {
    this.delete(key)
    if (this.size >= this.#max) {
      for (const oldest of this.keys()) {
        this.delete(oldest)
        break
      }
    }
    return super.set(key, value)
  }
}

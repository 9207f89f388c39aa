/** What a map may hold. */
export interface MapBound<Key, Value> {
  /** Entries at most, two or more. */
  entries: number
  /** Bytes of all entries together. One that is larger than half of them is not taken. */
  bytes: number
  /** What an entry takes of memory, about. Always the same for the same key and value. */
  bytesOf: (key: Key, value: Value) => number
}

/**
 * Remembers so many entries, and so many bytes of them, at most; beyond that the older half is forgotten at once. (To
 * forget one at a time, a Map would be asked for its oldest key again and again, and passes over all deleted ones each
 * time.)
 */
export class BoundedMap<Key, Value> {
  readonly #half: number
  readonly #halfBytes: number
  readonly #bytesOf: (key: Key, value: Value) => number
  #older = new Map<Key, Value>()
  #newer = new Map<Key, Value>()
  #newerBytes = 0

  constructor(bound: number | MapBound<Key, Value>) {
    const { entries, bytes, bytesOf } =
      typeof bound === 'number' ? { entries: bound, bytes: Infinity, bytesOf: () => 0 } : bound
    this.#half = Math.max(1, Math.floor(entries / 2))
    this.#halfBytes = bytes / 2
    this.#bytesOf = bytesOf
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
    const bytes = this.#bytesOf(key, value)
    if (bytes > this.#halfBytes) return
    if (this.#newer.size >= this.#half || this.#newerBytes + bytes > this.#halfBytes) {
      this.#older = this.#newer
      this.#newer = new Map()
      this.#newerBytes = 0
    }
    this.#newer.set(key, value)
    this.#newerBytes += bytes
  }

  delete(key: Key): void {
    const value = this.#newer.get(key)
    if (value === undefined) {
      this.#older.delete(key)
      return
    }
    this.#newer.delete(key)
    this.#newerBytes -= this.#bytesOf(key, value)
  }

  /** In the order of setting; entries may be deleted meanwhile. */
  *[Symbol.iterator](): IterableIterator<[Key, Value]> {
    yield* this.#older
    yield* this.#newer
  }
}

/** What an entry takes whose key is a text: two bytes a character at most, and the map's own. */
export function textEntryBytes(text: string): number {
  return 2 * text.length + ENTRY_BYTES
}
const ENTRY_BYTES = 256

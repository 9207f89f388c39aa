/** Listeners by the name of an event. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>()

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const all = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, all)
    // One of its own, so that the same function may listen twice.
    const one = (event: never) => listener(event)
    all.add(one)
    return () => void all.delete(one)
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event as never)
      } catch (error) {
        // A listener's fault is its page's to see, and nobody else's to suffer.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

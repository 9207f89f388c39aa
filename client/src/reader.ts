import { RoomcastError } from './errors.ts'

/** What a loop may be behind by. */
const MOST = 10_000

/** The other side of a loop over a room. */
export interface Reader<Item> {
  push(item: Item): void
  /** The loop ends when it has read what has come; with an error it throws that. */
  end(error?: Error): void
}

/** One `for await`: among `readers` while it runs. A loop that is too slow ends with `overflow`: nothing is left out in silence. */
export async function* read<Item>(
  readers: Set<Reader<Item>>,
  ended?: { error?: Error | undefined },
): AsyncGenerator<Item, void> {
  const items: Item[] = []
  let wake = () => {}
  const reader: Reader<Item> = {
    push(item) {
      if (items.push(item) > MOST) reader.end(new RoomcastError('overflow'))
      wake()
    },
    end(error) {
      ended ??= { error }
      readers.delete(reader)
      wake()
    },
  }
  readers.add(reader)
  try {
    for (;;) {
      while (items.length > 0) yield items.shift() as Item
      if (ended?.error !== undefined) throw ended.error
      if (ended !== undefined) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    readers.delete(reader)
  }
}

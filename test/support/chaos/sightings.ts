// Where each message was seen: what one member sees at an offset of an epoch, all others must see there.
import type { Life } from './recording.ts'
import type { Story, Try } from './story.ts'
import type { Verdict } from './verdict.ts'

export interface Position {
  epoch: string
  offset: number
}

export interface Sighting extends Position {
  room: string
  mid: string
  /** The client that the server names as the sender. */
  client: string
  /** When it was first seen. */
  atMs: number
  life: Life
}

export class Sightings {
  /** By room and epoch, then by offset. */
  readonly #byEpoch = new Map<string, Map<number, Sighting>>()
  readonly #byMid = new Map<string, Sighting[]>()

  /** Notes one; another message at the same place is a violation. */
  add(one: Sighting, verdict: Verdict): void {
    const key = JSON.stringify([one.room, one.epoch])
    const offsets = this.#byEpoch.get(key) ?? new Map<number, Sighting>()
    this.#byEpoch.set(key, offsets)
    const known = offsets.get(one.offset)
    if (known === undefined) {
      offsets.set(one.offset, one)
      this.#byMid.set(one.mid, [...this.of(one.mid), one])
    } else if (known.mid !== one.mid) {
      const text = `${one.room}: ${one.mid} at ${one.epoch} ${one.offset}, where ${known.life.person} has ${known.mid}`
      verdict.violate('two messages at one offset', one.life, one.atMs, text, one.mid)
    }
    if (known !== undefined && one.atMs < known.atMs) known.atMs = one.atMs
  }

  at(room: string, { epoch, offset }: Position): Sighting | undefined {
    return this.#byEpoch.get(JSON.stringify([room, epoch]))?.get(offset)
  }

  of(mid: string): readonly Sighting[] {
    return this.#byMid.get(mid) ?? []
  }

  /** A message has one place; with a key, more only where Redis may have lost the mark of the first. */
  checkPlaces({ messages }: Story, verdict: Verdict): void {
    for (const [mid, places] of this.#byMid) {
      const [first, ...others] = places.toSorted((a, b) => a.atMs - b.atMs) as [Sighting, ...Sighting[]]
      for (const one of others) {
        const message = messages.get(mid)
        const isExcused =
          message?.hasKey && message.tries.length > 1 && verdict.mayHaveLost(first.atMs, one.atMs)
        if (isExcused) verdict.count('key taken twice after a loss')
        else {
          const text = `${one.room}: ${mid} at ${first.epoch} ${first.offset} and at ${one.epoch} ${one.offset}`
          verdict.violate('published twice', one.life, one.atMs, text, mid)
        }
      }
    }
  }

  /** What one connection has sent keeps its order in each epoch. */
  checkSenders({ messages, clients }: Story, verdict: Verdict): void {
    for (const offsets of this.#byEpoch.values()) {
      const last = new Map<Life, { one: Try; mid: string }>()
      for (const { mid, client, room, offset, atMs } of [...offsets.values()].sort(
        (a, b) => a.offset - b.offset,
      )) {
        const life = clients.get(client)
        const own = messages.get(mid)?.tries.filter((one) => one.life === life) ?? []
        const [one] = own
        // Of several tries on one connection nobody can say which it was.
        if (life === undefined || one === undefined || own.length > 1) continue
        const before = last.get(life)
        if (before !== undefined && one.index < before.one.index) {
          const text = `${room}: ${mid} at ${offset} is behind ${before.mid}, which was sent later`
          verdict.violate("a sender's order", life, atMs, text, mid)
        } else last.set(life, { one, mid })
      }
    }
  }
}

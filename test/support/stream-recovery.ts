// Event streams that are cut at random and come back with their last id: what they get, in which order.
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { connect } from './client.ts'
import { EventStream } from './event-stream.ts'
import type { Server } from './server.ts'
import { tokenFor } from './token.ts'
import { Notifier, pace } from './until.ts'

/** Between cuts, at random up to this. */
const STAY_MS = 150

/** Reads rooms as a browser's EventSource does, over streams that it cuts itself, and checks what comes. */
class StreamFollower {
  /** By room: the newest offset that it has. */
  readonly offsets = new Map<string, number>()
  /** Whatever is missing, twice, or out of order. */
  readonly faults: string[] = []
  returns = 0
  #isOn = true
  readonly #rooms: readonly string[]
  readonly #events: Notifier
  readonly #url: () => string

  constructor(rooms: readonly string[], events: Notifier, url: () => string) {
    this.#rooms = rooms
    this.#events = events
    this.#url = url
  }

  /** Until `stop`: one stream after the other. The last is cut when all has come. */
  async run(isComplete: (follower: StreamFollower) => boolean): Promise<void> {
    let lastId: string | undefined
    while (true) {
      const stream = new EventStream(this.#url(), lastId === undefined ? {} : { 'last-event-id': lastId })
      const stays = this.#isOn ? pace(Math.random() * STAY_MS).then(() => 'cut' as const) : undefined
      let isCut = false
      void stays?.then(() => {
        isCut = true
        this.#events.notify()
      })
      const isBack = lastId !== undefined
      let joins = 0
      await this.#events.until(
        () => `a cut, or all of it; it has ${JSON.stringify([...this.offsets])}`,
        () => {
          for (const { type, data, id } of stream.events.splice(0)) {
            lastId = id
            if (type === 'joined') {
              joins++
              this.#joined(data, isBack)
            } else if (type === 'message') this.#message(data)
            else if (type === 'error' || type === 'dropped')
              this.faults.push(`${type} ${JSON.stringify(data)}`)
          }
          if (stream.isEnded) this.faults.push(`the stream ended with ${stream.status} ${stream.body}`)
          // One that has no id yet has nothing to come back with.
          const mayBeCut = isCut && (isBack || joins === this.#rooms.length)
          return mayBeCut || stream.isEnded || (!this.#isOn && isComplete(this)) || undefined
        },
        30_000,
      )
      stream.close()
      if (isBack) this.returns++
      if (!this.#isOn && isComplete(this)) return
      if (this.faults.length > 0) return
    }
  }

  /** No more cuts. */
  settle(): void {
    this.#isOn = false
  }

  #joined({ room, offset, recovered, missed = 0 }: Record<string, unknown>, isBack: boolean): void {
    const name = String(room)
    const known = this.offsets.get(name)
    if (isBack && known !== undefined) {
      if (recovered !== true || Number(offset) !== known + Number(missed))
        this.faults.push(`${name}: ${recovered} at ${offset}, ${missed} missed, had ${known}`)
    } else this.offsets.set(name, Number(offset))
  }

  #message({ room, offset, content }: Record<string, unknown>): void {
    const name = String(room)
    const due = (this.offsets.get(name) ?? 0) + 1
    if (offset !== due || content !== offset)
      this.faults.push(`${name}: ${offset} (${content}), due was ${due}`)
    this.offsets.set(name, due)
  }
}

/** Streams on all nodes, of three rooms each, cut again and again under traffic: none missing, none twice, in order. */
export async function streamsUnderCuts(t: Test, nodes: readonly Server[], messages = 900): Promise<void> {
  const rooms = [randomUUID(), randomUUID(), randomUUID()]
  const token = tokenFor('reader')
  const query = rooms.map((room) => `&room=${room}`).join('')
  const events = new Notifier()
  const ticker = setInterval(() => events.notify(), 5)
  t.teardown(() => clearInterval(ticker))
  let turn = 0
  const url = () => (nodes[turn++ % nodes.length] as Server).url(`/sse?token=${token}${query}`)
  const followers = Array.from({ length: 6 }, () => new StreamFollower(rooms, events, url))
  const isComplete = ({ offsets }: StreamFollower) =>
    rooms.every((room) => offsets.get(room) === messages / rooms.length)
  const runs = followers.map((follower) => follower.run(isComplete))
  const publisher = await connect(nodes[0] as Server, 'publisher')
  await Promise.all(rooms.map((room) => publisher.join(room)))
  for (let n = 0; n < messages; n += rooms.length) {
    await Promise.all(rooms.map((room) => publisher.publish(room, n / rooms.length + 1)))
    // About as long as the streams need for some dozen returns.
    if (n % 30 === 0) await pace(40)
  }
  for (const follower of followers) follower.settle()
  await Promise.all(runs)
  t.strictSame(
    followers.flatMap(({ faults }) => faults),
    [],
  )
  t.ok(followers.every(isComplete), 'each has all of it')
  const returns = followers.reduce((sum, follower) => sum + follower.returns, 0)
  t.ok(returns >= followers.length, `they came back ${returns} times`)
  await publisher.close()
}

// What a person has over all its connections: whoever is told `recovered: true` had everything up to `since`.
import type { Jump } from './member-walk.ts'
import type { Life } from './recording.ts'
import type { Position, Sightings } from './sightings.ts'
import type { Event, Story } from './story.ts'
import type { Verdict } from './verdict.ts'

/** What one person has of one room. */
interface Holding {
  /** Of what is behind it the person has had everything, or been told otherwise. */
  base: Position | undefined
  had: Set<string>
  isMember: boolean
}

/** Goes through a person's connections in turn; jumps have been judged already. */
export class PositionWalk {
  readonly #person: string
  readonly #story: Story
  readonly #sightings: Sightings
  readonly #verdict: Verdict
  readonly #jumps: readonly Jump[]
  readonly #holdings = new Map<string, Holding>()

  constructor(person: string, story: Story, sightings: Sightings, jumps: readonly Jump[], verdict: Verdict) {
    this.#person = person
    this.#story = story
    this.#sightings = sightings
    this.#jumps = jumps.filter(({ life }) => life.person === person)
    this.#verdict = verdict
  }

  walk(lives: readonly Life[]): void {
    for (const life of lives) {
      const since = new Map<string, Position>()
      for (const holding of this.#holdings.values()) holding.isMember = false
      for (const event of this.#story.events.get(life) ?? []) {
        const { id, since: asked } = event.envelope
        if (!event.isSent) this.#onGot(life, event, since)
        else if (id !== undefined && asked !== undefined) since.set(id, asked)
      }
    }
  }

  #onGot(life: Life, { envelope, mid, atMs }: Event, since: ReadonlyMap<string, Position>): void {
    const { type, room, epoch, offset, recovered, id = '' } = envelope
    if (room === undefined) return
    const holding = this.#holdings.get(room) ?? { base: undefined, had: new Set(), isMember: false }
    this.#holdings.set(room, holding)
    const position = epoch === undefined || offset === undefined ? undefined : { epoch, offset }
    if (type === 'message') holding.had.add(mid)
    else if (type === 'reset') holding.base = position
    else if (type === 'left') holding.isMember = false
    else if (type === 'joined') {
      const asked = since.get(id)
      if (recovered && asked !== undefined) this.#check(life, atMs, room, holding, asked)
      // A member that joins again without `since` stays where it is.
      else if (
        !holding.isMember ||
        asked !== undefined ||
        position === undefined ||
        holding.base === undefined
      )
        holding.base = position
      holding.isMember = true
    }
  }

  #check(life: Life, atMs: number, room: string, { base, had }: Holding, since: Position): void {
    if (base === undefined || base.epoch !== since.epoch) return
    const { epoch } = since
    for (let offset = base.offset + 1; offset <= since.offset; offset++) {
      const one = this.#sightings.at(room, { epoch, offset })
      if (one === undefined || had.has(one.mid)) continue
      if (this.#story.messages.get(one.mid)?.person === this.#person) continue
      const isJudged = this.#jumps.some(
        (jump) => jump.room === room && jump.epoch === epoch && jump.from < offset && offset < jump.to,
      )
      if (isJudged) continue
      const text = `${room}: since ${epoch} ${since.offset}, without ${one.mid} at ${offset}`
      this.#verdict.violate('recovered over a hole', life, atMs, text, one.mid)
    }
    if (since.offset > base.offset) base.offset = since.offset
  }
}

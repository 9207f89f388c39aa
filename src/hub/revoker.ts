import { z } from 'zod'
import type { Identity } from '../auth/permissions.ts'
import { Revocations, revocationName, revokedOf } from '../auth/revocations.ts'
import type { Bridge, Kept, Note } from '../bridge/bridge.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Closer } from './closer.ts'
import type { Asked, Question, Questions } from './questions.ts'

/** What nobody has told is found, and what has ended forgotten, in this time. */
const LOOK_MS = 60_000
/** While something is still to be read, kept or told it is tried so often. */
const RETRY_MS = 1000
/** Notes that are kept in one call, and told at once. */
const NOTES_A_CALL = 100
const NOTES_A_TELL = 32

const note = z
  .object({ name: z.string(), value: z.int().min(0), untilMs: z.int().min(0) })
  .refine((note) => revokedOf(note) !== undefined)
const revoking = z.object({ notes: z.array(note).max(NOTES_A_TELL), isKept: z.boolean() })

export interface RevokerOptions {
  bridge: Bridge
  questions: Questions
  closer: Closer
  clock: Clock
  log: Log
  limits: { revocationTtlMs: number; jwtClockToleranceMs: number }
}

/** Whose tokens are revoked. Times are in ms since 1970. */
export type Revoke = { user: string; issuedBefore?: number } | { jti: string; expiresAt?: number }

/** Revokes tokens on all nodes, and sees to it that every node comes to know, whenever it can. */
export class Revoker {
  readonly #options: RevokerOptions
  readonly #revocations = new Revocations()
  readonly #question: Question<z.infer<typeof revoking>, number>
  /** Made on this node while nobody could be told, by name. */
  readonly #untold = new Map<string, Note>()
  readonly #timer: NodeJS.Timeout
  #retry: NodeJS.Timeout | undefined
  /** Whether other nodes may have had something kept that is to be read. */
  #isBehind = false
  /** Whether there were too many to be kept. */
  #isRefused = false
  #isClosed = false
  #looking: Promise<void> | undefined

  constructor(options: RevokerOptions) {
    this.#options = options
    this.#question = {
      kind: 'revoke',
      with: revoking,
      answer: z.int().min(0),
      carryOut: ({ notes, isKept }) => this.#take(notes, isKept),
    }
    options.questions.add(this.#question)
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
  }

  isRevoked(identity: Pick<Identity, 'user' | 'jti' | 'issuedAtMs'>): boolean {
    return this.#revocations.isRevoked(identity)
  }

  /** Ends the clients with such tokens. Rejects with RangeError when no more revocations can be remembered. */
  async revoke(target: Revoke): Promise<Asked<number>> {
    const { bridge, questions } = this.#options
    const note = this.#noteOf(target)
    if (!this.#add(note, false)) throw new RangeError('no more revocations can be remembered')
    const here = this.#take([note], false)
    const isKept = (await bridge.keep([note])) === 'kept'
    if (isKept) this.#add(note, true)
    const asked = await questions.ask(this.#question, { notes: [note], isKept })
    if (asked.scope === 'node') this.#untold.set(note.name, note)
    this.#tryAgain()
    return {
      ...asked,
      // Nodes that start later know it only when it is kept.
      scope: isKept ? asked.scope : 'node',
      answers: [await here, ...asked.answers],
    }
  }

  /** Reads what other nodes have had kept, and gives what they lack; resolves when that is done, or cannot be done now. */
  look(): Promise<void> {
    this.#isBehind = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
      this.#tryAgain()
    })
    return this.#looking
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    clearTimeout(this.#retry)
  }

  async #look(): Promise<void> {
    this.#revocations.sweep(this.#options.clock.wallMs())
    while (this.#isBehind) {
      this.#isBehind = false
      if (!(await this.#read())) {
        this.#isBehind = true
        return
      }
      this.#isRefused = (await this.#keep()) === 'full'
      await this.#tell()
    }
  }

  /** False when it cannot be read now. */
  async #read(): Promise<boolean> {
    for (;;) {
      const read = await this.#options.bridge.readNotes()
      if (read === undefined) return false
      if (read.isAnew) this.#revocations.keepAllAgain()
      // Whoever may write in Redis may have written anything.
      const notes = read.notes.filter((one) => note.safeParse(one).success)
      if (notes.length > 0) void this.#take(notes, true)
      if (!read.hasMore) return true
    }
  }

  async #keep(): Promise<Kept> {
    while (this.#revocations.hasUnkept) {
      const notes = this.#revocations.unkept(NOTES_A_CALL)
      const kept = await this.#options.bridge.keep(notes)
      if (kept !== 'kept') return kept
      for (const note of notes) this.#add(note, true)
    }
    return 'kept'
  }

  async #tell(): Promise<void> {
    while (this.#untold.size > 0) {
      const notes = [...this.#untold.values()].slice(0, NOTES_A_TELL)
      const { scope } = await this.#options.questions.ask(this.#question, { notes, isKept: false })
      if (scope === 'node') return
      for (const note of notes) if (this.#untold.get(note.name) === note) this.#untold.delete(note.name)
    }
  }

  #tryAgain(): void {
    const mayKeep = this.#revocations.hasUnkept && !this.#isRefused
    if (this.#isClosed || !(this.#isBehind || mayKeep || this.#untold.size > 0)) return
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      void this.look()
    }, RETRY_MS).unref()
  }

  /** Takes revocations in; resolves with how many clients they ended. */
  async #take(notes: readonly Note[], isKept: boolean): Promise<number> {
    const endings = notes.map((note) => {
      if (!this.#add(note, isKept)) this.#options.log.error({}, 'no more revocations can be remembered')
      const whose = revokedOf(note)
      if (whose === undefined) return 0
      return this.#options.closer.end(whose, 'revoked', 'user' in whose ? note.value : Infinity)
    })
    return (await Promise.all(endings)).reduce((sum, count) => sum + count, 0)
  }

  #add(note: Note, isKept: boolean): boolean {
    if (this.#revocations.add(note, isKept)) return true
    this.#revocations.sweep(this.#options.clock.wallMs())
    return this.#revocations.add(note, isKept)
  }

  #noteOf(target: Revoke): Note {
    const { revocationTtlMs, jwtClockToleranceMs } = this.#options.limits
    const nowMs = this.#options.clock.wallMs()
    const name = revocationName(target)
    if ('user' in target) {
      const value = target.issuedBefore ?? nowMs
      return { name, value, untilMs: Math.max(value, nowMs) + revocationTtlMs }
    }
    const { expiresAt } = target
    const untilMs = expiresAt === undefined ? nowMs + revocationTtlMs : expiresAt + jwtClockToleranceMs
    return { name, value: 0, untilMs }
  }
}

// A client on a fake socket that does what docs/WITHOUT-CLIENT.md tells clients to, and checks what it gets against the truth.
import { Permissions } from '../../src/auth/permissions.ts'
import type { Clock } from '../../src/clock.ts'
import type { Client } from '../../src/hub/client.ts'
import type { Hub } from '../../src/hub/hub.ts'
import { ReadPump } from '../../src/hub/read-pump.ts'
import type { Position } from '../../src/protocol/envelope.ts'
import { decodeFrames, FakeSocket } from './fake-socket.ts'
import type { Sent } from './unruly-bridge.ts'

const everything = new Permissions({ join: ['*'], publish: ['*'], broadcast: true }, 'u')
const silentLog = { debug() {}, info() {}, warn() {}, error() {} }
const ROOM = 'r'

interface Incoming {
  type: string
  content?: number
  offset?: number
  epoch?: string
  recovered?: boolean
  missed?: number
  scope?: string
}

export class Reader {
  /** What it names as `since`; a plain one keeps it by that page's lines alone. */
  position: Position | undefined
  /** Where the server's words have it. */
  told: Position | undefined
  client: Client
  isJoined = false
  isAsking = false
  /** What contradicts PROTOCOL.md, in words. */
  readonly faults: string[] = []
  /** All that it ever got, on whatever connection. */
  readonly has = new Set<number>()
  /** Got since it was last joined anew. */
  #seen = new Set<number>()
  /** Where it began in each epoch: it should have all that follows. */
  readonly beginnings = new Map<string, number>()
  /** Messages published when it was a member already: the first number that is due. */
  due = Infinity
  /** The ids that its connections had. */
  readonly #ids = new Set<string>()
  /** Offsets that it saw pass by: jumps. */
  jumps = 0
  readonly #isPlain: boolean
  #mustJoin = false
  readonly #hub: Hub
  readonly #clock: Clock
  readonly #sent: readonly Sent[]
  #socket = new FakeSocket()
  #pump: ReadPump
  #toRecover = 0
  #since: Position | undefined
  #log: string[] = []

  constructor(hub: Hub, clock: Clock, sent: readonly Sent[], isPlain: boolean) {
    this.#isPlain = isPlain
    this.#hub = hub
    this.#clock = clock
    this.#sent = sent
    const { client, pump } = this.#connect()
    this.client = client
    this.#pump = pump
  }

  get log(): string {
    return this.#log.join(' ')
  }

  #connect() {
    const socket = new FakeSocket()
    this.#socket = socket
    const client = this.#hub.connect(socket, { user: 'u', permissions: everything, expiresAt: Infinity })
    this.#ids.add(client.id)
    socket.onClose = () => client.socketClosed()
    const pump = new ReadPump(this.#hub, client, {
      clock: this.#clock,
      log: silentLog,
      limits: { messageRate: 0, messageBurst: 1 },
      maxNesting: 16,
    })
    return { client, pump }
  }

  say(envelope: object): void {
    this.#pump.receive(Buffer.from(JSON.stringify(envelope)), false)
  }

  join(isFresh = false): void {
    if (this.isAsking) return
    this.isAsking = true
    this.#mustJoin = false
    this.#since = isFresh || this.position === undefined ? undefined : { ...this.position }
    this.#log.push(`join(${this.#since ? `${this.#since.epoch}:${this.#since.offset}` : ''})`)
    this.say({ type: 'join', room: ROOM, ...(this.#since && { since: this.#since }) })
  }

  leave(): void {
    if (this.isAsking) return
    this.say({ type: 'leave', room: ROOM })
    this.take()
    this.isJoined = false
    this.due = Infinity
    this.#log.push('left')
  }

  drop(): void {
    this.take()
    this.#socket.destroy()
    this.#log.push('dropped')
    this.isJoined = false
    this.isAsking = false
    this.due = Infinity
    this.#toRecover = 0
    const { client, pump } = this.#connect()
    this.client = client
    this.#pump = pump
  }

  /** What it had before counts no more. */
  forget(): void {
    this.#seen = new Set()
  }

  /** Reads what was written. */
  take(): void {
    const envelopes = decodeFrames(this.#socket) as unknown as Incoming[]
    this.#socket.written = []
    for (const envelope of envelopes) {
      if (envelope.type === 'joined') this.#onJoined(envelope)
      if (envelope.type === 'reset') this.#onReset(envelope)
      if (envelope.type === 'message') this.#onMessage(envelope)
      if (envelope.type === 'error') this.#fault(`error ${JSON.stringify(envelope)}`)
    }
  }

  #fault(text: string): void {
    this.faults.push(`${text} [${this.log}]`)
  }

  #onJoined({ epoch, offset, recovered, missed = 0 }: Incoming): void {
    this.isAsking = false
    this.#log.push(`joined(${epoch}:${offset}${recovered ? ` +${missed}` : ''})`)
    const again = this.isJoined
    if (!again) {
      this.isJoined = true
      this.due = this.#sent.length
      this.#seen = new Set()
    }
    const since = this.#since
    if (recovered && since !== undefined) {
      this.#toRecover = missed
      if (epoch !== since.epoch || offset !== since.offset + missed) this.#fault('recovered with a hole')
      // What it named, it must have had.
      const { epoch: own } = since
      const from = this.beginnings.get(own) ?? since.offset
      if (!this.#hasAll({ epoch: own, offset: from }, since.offset)) this.jumps++
      this.position = { ...since }
      this.told = { ...since }
    } else {
      if (since !== undefined) this.due = this.#sent.length
      const was = this.told
      const now = epoch === undefined || offset === undefined ? undefined : { epoch, offset }
      this.position = now && { ...now }
      this.told = now
      // A second join without `since` names what the member has.
      if (again && since === undefined && was !== undefined && now?.epoch === was.epoch) {
        if (!this.#hasAll(was, now.offset)) this.jumps++
      } else if (now !== undefined) this.beginnings.set(now.epoch, now.offset)
    }
    if (this.#mustJoin) this.join()
  }

  #onReset({ epoch = '', offset = -1 }: Incoming): void {
    this.#log.push(`reset(${epoch}:${offset})`)
    if (!this.isJoined) this.#fault('reset before joined')
    if (epoch === this.told?.epoch) this.#fault('reset to the same epoch')
    this.told = { epoch, offset }
    this.beginnings.set(epoch, offset)
    if (!this.#isPlain) this.position = { epoch, offset }
    else if (this.isAsking) this.#mustJoin = true
    else this.join()
  }

  #onMessage({ content: n = -1, offset }: Incoming): void {
    this.#log.push(`${n}${offset === undefined ? '' : `@${offset}`}`)
    const truth = this.#sent[n]
    if (truth === undefined) throw new Error(`${n} was never sent`)
    if (!this.isJoined) this.#fault(`${n} before joined`)
    const isRecovered = this.#toRecover > 0
    if (this.#seen.has(n) && !isRecovered) this.#fault(`${n} twice`)
    if (truth.exclude === this.client.id && !isRecovered) this.#fault(`${n} is its own`)
    this.#seen.add(n)
    this.has.add(n)
    if (offset === undefined) return
    if (this.position !== undefined) this.position.offset = offset
    const { told } = this
    if (offset !== truth.position?.offset) this.#fault(`${n} at ${offset}, not ${truth.position?.offset}`)
    if (told === undefined || truth.position?.epoch !== told.epoch) {
      this.#fault(`${n}@${offset} of an epoch that was not told`)
      return
    }
    if (offset <= told.offset) this.#fault(`${offset} after ${told.offset}`)
    if (isRecovered && offset !== told.offset + 1) this.#fault(`${offset} in a recovery`)
    if (!this.#hasAll(told, offset - 1)) this.jumps++
    told.offset = offset
    if (isRecovered) this.#toRecover--
  }

  /** Whether it has sent a message that leaves out its sender. */
  isOwn(exclude: string | undefined): boolean {
    return exclude !== undefined && this.#ids.has(exclude)
  }

  /** Whether it has all of the epoch behind `since` up to `offset`, its own messages excepted. */
  #hasAll({ epoch, offset: since }: Position, offset: number): boolean {
    return this.lacks(epoch, since, offset).length === 0
  }

  lacks(epoch: string, since: number, through: number): number[] {
    return this.#sent
      .filter(
        ({ position }) => position?.epoch === epoch && position.offset > since && position.offset <= through,
      )
      .filter(({ n, exclude }) => !this.has.has(n) && !this.isOwn(exclude))
      .map(({ n }) => n)
  }
}

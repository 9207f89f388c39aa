import type { Published } from '../bridge/bridge.ts'
import { Distribution } from '../distribution.ts'
import { requestTypes } from '../protocol/codec.ts'
import { type ErrorCode, errorCodes, type RefusalCode, refusals } from '../protocol/codes.ts'
import type { RequestType } from '../protocol/envelope.ts'
import { type Cause, causes } from './cause.ts'

/** Milliseconds, from a LAN to a phone in a tunnel. */
const ROUND_TRIPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]

/** What has happened on this node since its start; each only grows. */
export class Counters {
  connects = 0
  published = 0
  /** Publishes that reached this node's members only. */
  nodeScoped = 0
  /** Messages of rooms with members here that never arrived, as the gaps in the offsets show. */
  missed = 0
  /** Room messages dropped for slow clients. */
  drops = 0
  /** Frames refused by the message rate. */
  rateLimited = 0
  /** Joins with `since`, by whether all that was missed followed. */
  readonly recoveries = { recovered: 0, lost: 0 }
  readonly closes = zeros<Cause>(causes)
  /** Upgrades refused before they were clients. */
  readonly refused = zeros<RefusalCode>(Object.keys(refusals) as RefusalCode[])
  readonly requests = zeros<RequestType>(requestTypes)
  readonly errors = zeros<ErrorCode>(errorCodes)
  /** In milliseconds, of WebSocket pings. */
  readonly roundTrips = new Distribution(ROUND_TRIPS_MS)
  /** What the clients have sent and got whose sockets are gone; what the others have is theirs to tell. */
  readonly gone = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 }

  /** Counts a publish, and returns it. */
  publish(published: Published): Published {
    this.published++
    if (published.scope === 'node') this.nodeScoped++
    return published
  }

  /** A client's socket is gone. */
  leave({ messagesIn, messagesOut, bytesIn, bytesOut }: typeof this.gone): void {
    this.gone.messagesIn += messagesIn
    this.gone.messagesOut += messagesOut
    this.gone.bytesIn += bytesIn
    this.gone.bytesOut += bytesOut
  }

  get slowDisconnects(): number {
    return this.closes.tooSlow
  }

  get silentDisconnects(): number {
    return this.closes.silent
  }
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>
}

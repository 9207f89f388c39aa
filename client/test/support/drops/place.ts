// What all processes of the drop test agree on.
import type { Address } from '../../../../test/support/raw-socket.ts'
import type { Numbers } from './numbers.ts'

export const ROOM = 'crowd'
/** Each client is cut so long after its last cut, give or take a quarter. */
export const CUT_EVERY_MS = 15_000
/** Nothing connects for so long behind a cut. */
export const AWAY_MS = 2000
/** Between two messages. */
export const EVERY_MS = 100

/** What is said: the numbers from 0 on, with something behind them that makes a message as large as others are. */
export interface Content {
  n: number
  pad: string
}

/** Who is in a process: the real client, which is the probe, or many that follow the same rules and cost little. */
export type Kind = 'hub' | 'light'

export interface Crowd {
  kind: Kind
  count: number
  address: Address
  token: string
}

/** One client of the crowd. */
export interface Follower {
  readonly seen: Numbers
  readonly isJoined: boolean
  /** How often it was in the room again. */
  readonly returns: number
  begin(): void
  /** Cut off, without a word, for AWAY_MS. */
  drop(): void
  close(): void
}

/** What one process has seen. */
export interface Report {
  clients: number
  missing: number
  /** Clients that were not back in the room at the end: theirs is missing, and not lost. */
  away: number
  faults: number
  returns: number
  /** From the socket's opening to having all that was said until then. */
  caughtUpMs: number[]
  /** Connections that ended otherwise than by a cut, by what is known of that. */
  ends: Record<string, number>
  /** How late this process's own loop was. */
  loopP99Ms: number
  loopMaxMs: number
  /** Of one core. */
  cpuPart: number
}

/** What the test asks of a process, one after the other; each is answered by `Answer`. */
export type Order =
  | { do: 'join' }
  /** Cuts begin. */
  | { do: 'cut' }
  /** The probe's process alone: says something each EVERY_MS, and answers with the last number. */
  | { do: 'talk'; seconds: number; padBytes: number }
  /** Cuts end; answers when all have all, or two minutes later. */
  | { do: 'finish'; last: number }

export type Answer =
  | { did: 'join' | 'cut' }
  | { did: 'talk'; last: number }
  | { did: 'finish'; report: Report }

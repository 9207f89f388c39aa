import { type CloseName, closeCodes } from '../protocol/codes.ts'

/** Frames that end a client: over maxMessageBytes, over the limit on pieces, or against the rules of WebSocket. */
const frameFaults = ['messageTooBig', 'tooManyPieces', 'badFrame'] as const
export type FrameFault = (typeof frameFaults)[number]

/** Why a client ended: a close of the server's, the peer's own Close, a lost socket, or silence. */
export const causes = [
  ...(Object.keys(closeCodes) as CloseName[]),
  ...frameFaults,
  'peer',
  'lost',
  'silent',
] as const
export type Cause = (typeof causes)[number]

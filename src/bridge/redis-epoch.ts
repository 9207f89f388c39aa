import { randomBytes } from 'node:crypto'

const epochStem = randomBytes(6).toString('base64url')
let epochs = 0

/** The epoch of a history that may have to begin: a new one each time. Random bytes for each publish would cost 10 µs. */
export function newEpoch(): string {
  return `${epochStem}${(epochs++).toString(36)}`
}

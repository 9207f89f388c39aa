import { randomFillSync } from 'node:crypto'

/** 96 bits: not to be guessed, and never the same twice. */
const ID_BYTES = 12
/** The system is asked once for so many ids; a call for each would be a tenth of the cost of a connect. */
const IDS_A_FILL = 256

const pool = Buffer.alloc(ID_BYTES * IDS_A_FILL)
let at = pool.length

/** A random id of 16 characters for one client. */
export function newClientId(): string {
  if (at === pool.length) {
    randomFillSync(pool)
    at = 0
  }
  at += ID_BYTES
  return pool.toString('base64url', at - ID_BYTES, at)
}

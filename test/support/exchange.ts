// One request on a socket of its own, and everything that came of it until the server ended TCP.
import type { Test } from 'tap'
import { type Address, RawSocket, type RequestOptions, type Response, upgradeRequest } from './raw-socket.ts'

export interface Exchange {
  response: Response
  /** From the request to the whole answer. */
  answerMs: number
  /** From the answer to the end of TCP; our side stayed open all the while. */
  endMs: number
}

/** Sends `bytes`, waits for the answer and for the server's end; the client never closes first. */
export async function exchange(
  address: Address,
  bytes: string | Buffer,
  endWithinMs = 2_000,
): Promise<Exchange> {
  const socket = await RawSocket.open(address)
  try {
    const startMs = performance.now()
    socket.write(bytes)
    const response = await socket.answer()
    const answeredMs = performance.now()
    if (response.status !== 101) await socket.ended(endWithinMs)
    return { response, answerMs: answeredMs - startMs, endMs: socket.endAtMs - answeredMs }
  } finally {
    socket.destroy()
  }
}

/** An upgrade to `/ws` with this query, and what came of it. */
export function tryUpgrade(address: Address, query: string, options?: RequestOptions): Promise<Exchange> {
  return exchange(address, upgradeRequest(`/ws${query}`, options))
}

/** The answer is a refusal of the contract: this status and code, as JSON, without `secret`. */
export function isRefusal(
  t: Test,
  { response }: Exchange,
  status: number,
  code: string,
  secret?: string,
): void {
  t.equal(response.status, status, 'status')
  let body: unknown
  try {
    body = JSON.parse(response.body)
  } catch {
    body = response.body
  }
  t.match(body, { error: code, message: String }, `error ${code}`)
  if (secret) t.notOk(`${response.head}${response.body}`.includes(secret), 'the token is not repeated')
}

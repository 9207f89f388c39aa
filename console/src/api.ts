import type { z } from 'zod'
import type {
  clientAnswer,
  clusterAnswer,
  historyAnswer,
  membersAnswer,
  roomsPage,
  userAnswer,
} from '../../src/protocol/api.ts'

export type Cluster = z.infer<typeof clusterAnswer>
export type RoomsPage = z.infer<typeof roomsPage>
export type Members = z.infer<typeof membersAnswer>
export type History = z.infer<typeof historyAnswer>
export type UserAnswer = z.infer<typeof userAnswer>
export type ClientAnswer = z.infer<typeof clientAnswer>

const base = new URL('api/v1/', location.href)
let key = ''

/** The key is kept in this variable, and nowhere else. */
export function useKey(given: string): void {
  key = given
}

export function hasKey(): boolean {
  return key !== ''
}

/** Asks the HTTP API. Rejects with the server's own words. */
export async function ask<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  if (!hasKey()) throw new Error('Give an API key or an admin token first.')
  const answer = await fetch(new URL(path, base), {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    cache: 'no-store',
  })
  const isJson = /json/.test(answer.headers.get('content-type') ?? '')
  const said = isJson ? await answer.json() : {}
  if (answer.status === 404 && said.code === undefined)
    throw new Error('The server has no API: set API_KEYS (docs/BACKENDS.md).')
  if (!answer.ok) throw new Error(said.detail ?? `The server answered ${answer.status}.`)
  return said
}

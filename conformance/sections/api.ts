import { Skip } from '../check.ts'
import { expectFields, expectTrue, shown } from '../expect.ts'
import { jsonOf } from '../request.ts'
import type { SendOptions, Visit } from '../visit.ts'

export const BACKENDS = 'BACKENDS.md'

export interface ApiAnswer {
  status: number
  headers: Record<string, unknown>
  body: Record<string, unknown>
}

/** A request of the HTTP API with the key; what has a body is a POST. */
export async function api(visit: Visit, path: string, options: SendOptions = {}): Promise<ApiAnswer> {
  const { apiKey } = visit.target
  if (apiKey === undefined) throw new Skip('--api-key is not given')
  return apiAs(visit, apiKey, path, options)
}

/** The same with another secret, or a token. */
export async function apiAs(visit: Visit, bearer: string | undefined, path: string, options: SendOptions) {
  const answer = await visit.send(`/api/v1${path}`, {
    method: options.body === undefined ? 'GET' : 'POST',
    ...options,
    headers: {
      ...(bearer !== undefined && { Authorization: `Bearer ${bearer}` }),
      ...(options.body !== undefined && { 'Content-Type': 'application/json' }),
      ...options.headers,
    },
  })
  return { status: answer.status, headers: answer.headers, body: jsonOf(answer) }
}

/** The request is granted. */
export async function granted(visit: Visit, path: string, options?: SendOptions) {
  const { status, body } = await api(visit, path, options)
  expectTrue(status === 200, `${path} is answered with ${status}: ${shown(body)}`)
  return body
}

export const messagesOf = (room: string) => `/rooms/${encodeURIComponent(room)}/messages`

/** Problem details (RFC 9457) with this code. */
export function expectProblem({ status, headers, body }: ApiAnswer, wanted: number, code: string): void {
  expectTrue(status === wanted, `the answer is ${status}, not ${wanted}: ${shown(body)}`)
  expectFields(body, { status: wanted, code }, 'the problem')
  expectTrue(typeof body.detail === 'string', `the problem has no detail: ${shown(body)}`)
  const type = String(headers['content-type'])
  expectTrue(type.startsWith('application/problem+json'), `the content type is ${type}`)
}

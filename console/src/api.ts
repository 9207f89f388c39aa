let key = ''

/** The key is kept in this variable, and nowhere else. */
export function useKey(given: string): void {
  key = given
}

export function hasKey(): boolean {
  return key !== ''
}

/** The server's refusal, in its own words. */
export class Refused extends Error {
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/** Asks the HTTP API. */
export async function ask<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  if (!hasKey()) throw new Error('Give an API key or an admin token first.')
  const answer = await fetch(new URL(path, new URL('api/v1/', location.href)), {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    cache: 'no-store',
  }).catch(() => {
    throw new Error('The server does not answer.')
  })
  const isJson = /json/.test(answer.headers.get('content-type') ?? '')
  const said = isJson ? await answer.json() : {}
  if (answer.status === 404 && said.code === undefined)
    throw new Refused('The server has no API: set API_KEYS (docs/BACKENDS.md).', 404)
  if (!answer.ok) throw new Refused(said.detail ?? `The server answered ${answer.status}.`, answer.status)
  return said
}

/** A path of encoded names. */
export function path(...names: string[]): string {
  return names.map(encodeURIComponent).join('/')
}

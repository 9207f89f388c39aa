// Faults in who is let in, how, and what they are told at first.
import { SECRET, tokenFor } from '../../support/token.ts'
import { type Asked, changing, type Fault, withGoodToken, without } from '../fault.ts'

/** Lets in whatever the test says of the token that was shown. */
function lettingIn(isMeant: (token: string, claims: Record<string, unknown>) => boolean) {
  return (asked: Asked): Asked => {
    const token = new URL(asked.url, 'http://proxy').searchParams.get('token') ?? ''
    const [, body = ''] = token.split('.')
    let claims: Record<string, unknown> = {}
    try {
      claims = JSON.parse(Buffer.from(body, 'base64url').toString())
    } catch {
      // No token at all.
    }
    return isMeant(token, claims) ? withGoodToken(asked) : asked
  }
}

const LET_IN = /the answer is 101, not 40/
const section = 'Connecting'

const refusals: Fault[] = [
  {
    name: 'no token is let in',
    section,
    check: 'no token is 401',
    says: LET_IN,
    asks: lettingIn((token) => token === ''),
  },
  {
    name: 'an expired token is let in',
    section,
    check: 'an expired token is 401',
    says: LET_IN,
    asks: lettingIn((_token, { exp }) => Number(exp) * 1000 < Date.now()),
  },
  {
    name: 'a token that does not hold yet is let in',
    section,
    says: LET_IN,
    check: 'a token that does not hold yet (nbf) is 401',
    asks: lettingIn((_token, { nbf }) => nbf !== undefined),
  },
  {
    name: 'alg none is let in',
    section,
    says: LET_IN,
    check: 'a token without a signature (alg none) is 401',
    asks: lettingIn((token) => token.endsWith('.')),
  },
  {
    name: 'any path is let in',
    section,
    check: 'another path is 404 bad_upgrade',
    says: LET_IN,
    asks: (asked) => ({ ...asked, url: asked.url.replace('/ws/other', '/ws') }),
  },
  {
    name: 'a refusal is 403 in place of 401',
    section,
    check: 'no token is 401',
    says: /the answer is 403, not 401/,
    answers: (got) => ({ ...got, status: got.status === 401 ? 403 : got.status }),
  },
  {
    name: 'a refusal is plain text',
    section,
    check: 'a token that is none is 401',
    says: /no JSON object/,
    answers: (got) => ({ ...got, body: got.status === 401 ? 'go away' : got.body }),
  },
  {
    name: 'a refusal repeats the claims',
    section,
    check: 'a refusal never repeats the token',
    says: /the answer has the token in it/,
    asks(asked) {
      this.shown = new URL(asked.url, 'http://proxy').searchParams.get('token')
      return asked
    },
    answers(got) {
      return { ...got, body: JSON.stringify({ error: 'unauthorized', message: this.shown }) }
    },
  } as Fault & { shown?: string | null },
]

const tokens: Fault[] = [
  {
    name: '`can` is not heeded',
    section: 'The token',
    check: '`can.join` says which rooms may be joined',
    says: /is answered with .*joined/,
    asks: (asked) => {
      const url = new URL(asked.url, 'http://proxy')
      const [, body = ''] = (url.searchParams.get('token') ?? '').split('.')
      const { can: _can, ...claims } = JSON.parse(Buffer.from(body, 'base64url').toString() || '{}')
      url.searchParams.set('token', tokenFor(String(claims.sub), claims, { key: SECRET }))
      return { ...asked, url: `${url.pathname}?${url.searchParams}` }
    },
  },
  {
    name: 'a token’s end has another code',
    section: 'The token',
    says: /closed with 1008, not with 4401/,
    check: 'the client is closed with 4401 at `exp`, as welcome has said',
    close: (code) => (code === 4401 ? 1008 : code),
  },
  {
    name: 'rooms of the token are not in welcome',
    section: 'Rooms of the token',
    says: /`rooms` in welcome/,
    check: 'welcome names them, and a `joined` of each follows in that order, without an id',
    toClient: without('welcome', 'rooms'),
  },
]

const refreshes: Fault[] = [
  {
    name: 'any refresh is granted',
    section: 'refresh',
    says: /not with the error `unauthorized`/,
    check: 'another user’s token is unauthorized, and the old one goes on',
    toClient: changing('error', ({ code, id }) =>
      code === 'unauthorized' ? { type: 'refreshed', id } : undefined,
    ),
  },
  {
    name: 'rooms that are not allowed any more are left in silence',
    section: 'refresh',
    says: /did not come/,
    check: 'rooms that it does not allow are left, right behind `refreshed`',
    toClient: changing('left', ({ reason }) => (reason === 'forbidden' ? [] : undefined)),
  },
]

const first: Fault[] = [
  {
    name: 'welcome has no maxMessageBytes',
    section: 'To the client',
    says: /no `maxMessageBytes`/,
    check: 'welcome is first, with all of its fields',
    toClient: without('welcome', 'maxMessageBytes'),
  },
  {
    name: 'all clients have one id',
    section: 'To the client',
    says: /two clients have the id same/,
    check: 'each client has an id of its own',
    toClient: changing('welcome', (envelope) => ({ ...envelope, client: 'same' })),
  },
  {
    name: 'binary data has another code',
    section: 'Close codes',
    check: '1003: binary data',
    says: /closed with 1008, not with 1003/,
    close: (code) => (code === 1003 ? 1008 : code),
  },
]

export const connectingFaults = [...refusals, ...tokens, ...refreshes, ...first]

import { check, section } from '../check.ts'
import { expectEqual, expectTrue } from '../expect.ts'
import { jsonOf } from '../request.ts'
import { nowS } from '../target.ts'
import { expectRefusal, upgradeHeaders } from '../visit.ts'

const UNAUTHORIZED = [401, 'unauthorized'] as const

const tokens = [
  check('a token in the query is let in', async (visit) => {
    await visit.connect()
  }),
  check('a token in Authorization is let in', async (visit) => {
    const headers = { Authorization: `Bearer ${visit.target.token()}` }
    await visit.connect({ token: false, headers })
  }),
  check('a token as the second subprotocol is let in, and never chosen', async (visit) => {
    const protocols = ['roomcast.v1', `bearer.${visit.target.token()}`]
    const { socket } = await visit.connect({ token: false, protocols })
    expectEqual(socket.protocol, 'roomcast.v1', 'the chosen subprotocol')
  }),
  check('roomcast.v1 is chosen where it is offered', async (visit) => {
    const { socket } = await visit.connect({ protocols: ['roomcast.v1'] })
    expectEqual(socket.protocol, 'roomcast.v1', 'the chosen subprotocol')
  }),
  check('no subprotocol is chosen where none is offered', async (visit) => {
    const { socket } = await visit.connect()
    expectEqual(socket.protocol, '', 'the chosen subprotocol')
  }),
  check('no token is 401', (visit) => visit.refusedUpgrade(...UNAUTHORIZED, '/ws')),
  check('two tokens are 401, even if both are the same', async (visit) => {
    const token = visit.target.token()
    await visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${token}`, { Authorization: `Bearer ${token}` })
    await visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${token}&token=${token}`)
  }),
  check('a token that is none is 401', (visit) => visit.refusedUpgrade(...UNAUTHORIZED, '/ws?token=abc')),
  check('a token signed with another secret is 401', (visit) => {
    const token = visit.target.token({}, 'a secret that is not the one of the server')
    return visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${token}`)
  }),
  check('a token whose claims were changed is 401', async (visit) => {
    const [head, , signature] = visit.target.token().split('.')
    const [, body] = visit.target.token({ sub: 'somebody-else' }).split('.')
    await visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${head}.${body}.${signature}`)
  }),
  check('a token without a signature (alg none) is 401', async (visit) => {
    const [, body] = visit.target.token().split('.')
    const head = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
    await visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${head}.${body}.`)
  }),
  check('an expired token is 401', (visit) => {
    const token = visit.target.token({ exp: nowS() - 7200 })
    return visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${token}`)
  }),
  check('a token that does not hold yet (nbf) is 401', (visit) => {
    const token = visit.target.token({ exp: nowS() + 14_400, nbf: nowS() + 7200 })
    return visit.refusedUpgrade(...UNAUTHORIZED, `/ws?token=${token}`)
  }),
]

const upgrades = [
  check('another path is 404 bad_upgrade', (visit) =>
    visit.refusedUpgrade(404, 'bad_upgrade', `/ws/other?token=${visit.target.token()}`),
  ),
  check('a request that is no upgrade is 426 bad_upgrade', async (visit) => {
    const answer = await visit.send(`/ws?token=${visit.target.token()}`)
    expectEqual(answer.status, 426, 'the status')
    expectEqual(jsonOf(answer).error, 'bad_upgrade', 'the error')
  }),
  check('another WebSocket version is 426 bad_upgrade', (visit) =>
    visit.refusedUpgrade(426, 'bad_upgrade', `/ws?token=${visit.target.token()}`, {
      'Sec-WebSocket-Version': '12',
    }),
  ),
  check('a key that RFC 6455 does not allow is 400 bad_upgrade', (visit) =>
    visit.refusedUpgrade(400, 'bad_upgrade', `/ws?token=${visit.target.token()}`, {
      'Sec-WebSocket-Key': 'short',
    }),
  ),
  check('lists in headers may have other and empty elements', async (visit) => {
    const headers = { Connection: 'keep-alive, , Upgrade', Upgrade: 'h2c, websocket' }
    const { status } = await visit.tryUpgrade(`/ws?token=${visit.target.token()}`, headers)
    expectEqual(status, 101, 'the status')
  }),
  check('an upgrade with a body is 400 bad_upgrade, and Content-Length 0 is no body', async (visit) => {
    const path = `/ws?token=${visit.target.token()}`
    const answer = await visit.send(path, { headers: upgradeHeaders(), body: 'hello' })
    expectRefusal(answer, 400, 'bad_upgrade')
    expectEqual((await visit.tryUpgrade(path, { 'Content-Length': '0' })).status, 101, 'the status')
  }),
  check('a refusal never repeats the token', async (visit) => {
    const token = visit.target.token({ exp: 1 })
    const { body, headers } = await visit.send(`/ws?token=${token}`, { headers: upgradeHeaders() })
    const [, claims = ''] = token.split('.')
    expectTrue(!`${body}${JSON.stringify(headers)}`.includes(claims), 'the answer has the token in it')
  }),
]

export const connecting = section('Connecting', [...tokens, ...upgrades])

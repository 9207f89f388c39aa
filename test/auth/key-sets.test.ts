// Keys that servers publish: who verifies what, rotation, and servers that misbehave.

import { createVerifier } from 'fast-jwt'
import t, { type Test } from 'tap'
import { KeySet } from '../../src/auth/key-set.ts'
import { verificationKeys } from '../../src/auth/keys.ts'
import { TokenVerifier, verifierOptions } from '../../src/auth/token-verifier.ts'
import { TokenFault } from '../../src/auth/tokens.ts'
import { type ConfigInput, configFrom } from '../../src/config.ts'
import { connect } from '../support/client.ts'
import { AUDIENCE, type Mischief, startIssuer } from '../support/issuer.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { SECRET, signPayload, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

interface Line {
  level: string
  message: string
  [field: string]: unknown
}

/** A verifier with these settings, and what it logs. */
function verifierFor(t: Test, input: ConfigInput) {
  const config = configFrom(input)
  const own = verificationKeys(config).map(({ key, algorithms }) =>
    createVerifier({ key, ...verifierOptions(config, algorithms, config.jwtIssuer) }),
  )
  const tokens = new TokenVerifier(config, own)
  const lines: Line[] = []
  const note = (level: string) => (fields: object, message: string) =>
    lines.push({ ...fields, level, message })
  tokens.readKeySets({ debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') })
  t.teardown(() => tokens.close())
  const verify = async (token: string) => {
    const verified = await tokens.verify(token)
    if (!(verified instanceof TokenFault)) return verified.user
    return verified.isTemporary ? 'unavailable' : 'refused'
  }
  const settled = () => pollUntil('the key set was read, or not', () => lines.length > 0 || undefined)
  return { tokens, lines, verify, settled }
}

t.test('an issuer is found by discovery, and its keys of all kinds verify its tokens', async (t) => {
  const issuer = await startIssuer(t)
  for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) issuer.addKey(alg, alg)
  const { tokens, verify, lines } = verifierFor(t, { jwtIssuers: issuer.url, jwtAudience: AUDIENCE })
  t.equal(await verify(issuer.token('ada', 'RS256')), 'ada', 'the first waits for the keys')
  t.match(lines, [{ level: 'info', message: 'key set read', keySet: issuer.url, keys: 3 }])
  for (const kid of ['RS256', 'ES256', 'EdDSA']) {
    t.notOk(tokens.verify(issuer.token('bob', kid)) instanceof Promise, 'a known key: nothing is waited for')
    t.equal(await verify(issuer.token('bob', kid)), 'bob', kid)
    t.equal(await verify(issuer.token('bob', kid, {}, '')), 'bob', `${kid}, without a key id`)
  }
  for (const [what, claims] of Object.entries({
    'another audience': { aud: 'another' },
    'no audience': { aud: undefined },
    'another issuer': { iss: 'https://issuer.example' },
    'no issuer': { iss: undefined },
    'an issuer with a slash': { iss: `${issuer.url}/` },
    'several issuers': { iss: [issuer.url] },
  }))
    t.equal(await verify(issuer.token('eve', 'ES256', claims)), 'refused', what)
  t.equal(issuer.reads, 1)
})

t.test('each issuer has its own keys, and no other key verifies its tokens', async (t) => {
  const [a, b] = [await startIssuer(t), await startIssuer(t)]
  a.addKey('k')
  b.addKey('k')
  const { verify } = verifierFor(t, {
    jwtIssuers: [a.url, b.url],
    jwtAudience: AUDIENCE,
    jwtSecret: SECRET,
  })
  t.equal(await verify(a.token('ada', 'k')), 'ada')
  t.equal(await verify(b.token('bob', 'k')), 'bob')
  t.equal(await verify(b.token('eve', 'k', { iss: a.url })), 'refused')
  t.equal(await verify(tokenFor('own', { aud: AUDIENCE })), 'own', 'a secret beside them')
  t.equal(await verify(tokenFor('eve', { aud: AUDIENCE, iss: a.url })), 'refused', 'but not for their users')
})

t.test('a key is used for the algorithm of its kind alone', async (t) => {
  const server = await startIssuer(t)
  const rsa = server.addKey('rsa', 'RS256')
  const { verify, lines } = verifierFor(t, { jwksUrl: `${server.keysUrl}`, jwtSecret: SECRET })
  t.equal(await verify(server.token('ada', 'rsa')), 'ada')
  const pem = JSON.stringify(rsa)
  for (const alg of ['HS256', 'none', 'None', 'RS512', 'PS256', 'ES256', undefined, 5])
    t.equal(
      await verify(
        signPayload({ sub: 'eve', exp: 9e9 }, { alg: 'HS256', key: pem, header: { alg, kid: 'rsa' } }),
      ),
      'refused',
      String(alg),
    )
  t.equal(
    await verify(tokenFor('eve', {}, { header: { kid: { $ne: 1 } } })),
    'refused',
    'an id that is no text',
  )
  t.match(lines, [{ keys: 1 }])

  const bad = await startIssuer(t)
  const good = bad.addKey('good') as Record<string, unknown>
  bad.jwks = [
    null,
    'key',
    { kty: 'oct', kid: 'good', k: Buffer.from(SECRET).toString('base64url') },
    { ...good, use: 'enc' },
    { ...good, key_ops: ['encrypt'] },
    { ...good, alg: 'RS256' },
    { ...good, alg: 'HS256' },
    { ...good, kty: 'RSA' },
    { ...good, crv: 'secp256k1' },
    { ...good, x: 'AAAA' },
    { ...good, kid: 'x'.repeat(300) },
    { ...good, d: good.x },
    good,
  ]
  const picky = verifierFor(t, { jwksUrl: bad.keysUrl })
  t.equal(await picky.verify(bad.token('ada', 'good')), 'ada')
  t.equal(await picky.verify(tokenFor('eve', {}, { header: { kid: 'good' } })), 'refused')
  t.match(picky.lines, [{ keys: 1 }], 'the others are passed over')
})

t.test(
  'a new key is taken at its first token, and one that is gone is forgotten with its tokens',
  async (t) => {
    const server = await startIssuer(t)
    server.addKey('old')
    const { verify, settled } = verifierFor(t, { jwksUrl: server.keysUrl })
    await settled()
    const old = server.token('ada', 'old')
    t.equal(await verify(old), 'ada')
    server.jwks = []
    server.addKey('new')
    const fresh = Array.from({ length: 50 }, (_, n) => verify(server.token(`user ${n}`, 'new')))
    t.strictSame(
      await Promise.all(fresh),
      Array.from({ length: 50 }, (_, n) => `user ${n}`),
      'none is refused',
    )
    t.equal(server.reads, 2, 'in one reading')
    t.equal(await verify(old), 'refused', 'also where it had verified')
  },
)

t.test('a token that names no key is looked for again soon', async (t) => {
  const server = await startIssuer(t)
  server.addKey('k')
  const clock = { nowMs: 1_000_000, steadyMs: () => clock.nowMs, wallMs: () => clock.nowMs }
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const verifierOf = () => () => undefined
  const source = { url: server.keysUrl }
  const keys = new KeySet({ source, log, clock, accepted: undefined, verifierOf, onRemoved() {} })
  t.teardown(() => keys.close())
  t.equal(await keys.lookUp(undefined), 'known', 'any of them may be its key')
  t.equal(keys.lookUp(undefined), 'absent', 'they have just been read')
  clock.nowMs += 5000
  server.addKey('rotated')
  t.equal(await keys.lookUp(undefined), 'known')
  t.equal(keys.verifiersFor(undefined, 'ES256').length, 2)
  t.equal(server.reads, 2)
})

t.test('10,000 unknown key ids are no flood for the key server, and keep nobody out', async (t) => {
  const server = await startIssuer(t)
  server.addKey('k')
  server.addKey('other', 'ES256', false)
  const { verify, settled, tokens } = verifierFor(t, { jwksUrl: server.keysUrl })
  await settled()
  const begin = performance.now()
  const token = server.token('eve', 'other')
  const [, ...rest] = token.split('.')
  const answers = Array.from({ length: 10_000 }, (_, n) => {
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: `id ${n}` })).toString('base64url')
    return verify([header, ...rest].join('.'))
  })
  t.notOk(tokens.verify(server.token('ada', 'k')) instanceof Promise)
  t.equal(await verify(server.token('ada', 'k')), 'ada', 'meanwhile')
  const all = await Promise.all(answers)
  t.notOk(all.some((one) => one === 'eve'))
  t.ok(all.filter((one) => one === 'unavailable').length >= 8_900, 'beyond a thousand none waits')
  t.ok(server.reads <= 2 + (performance.now() - begin) / 2000, `${server.reads} readings`)
  const reads = server.reads
  t.equal(
    await verify([Buffer.from('{"alg":"ES256","kid":"id 0"}').toString('base64url'), ...rest].join('.')),
    'refused',
  )
  t.equal(server.reads, reads, 'what was not there is not asked for again at once')
})

const mischiefs: Record<string, [mischief: Mischief, reason: string | RegExp]> = {
  'answers with rubbish': [(response) => response.end('<html>'), 'no JSON'],
  'answers with other JSON': [(response) => response.end('{"keys":5}'), /no key set/],
  'has no key': [(response) => response.end('{"keys":[]}'), /no key/],
  'nests for ever': [(response) => response.end('['.repeat(900_000)), 'no JSON'],
  'has a thousand keys': [
    (response) => response.end(JSON.stringify({ keys: Array(1000).fill({}) })),
    /than 100/,
  ],
  fails: [(response) => response.writeHead(500).end('x'), 'status 500'],
  'redirects for ever': [
    (response, url) => response.writeHead(302, { location: `${url}?again` }).end(),
    'status 302',
  ],
  'sends 10 MB': [(response) => response.end(Buffer.alloc(10_000_000, ' ')), /more than 1048576 bytes/],
  'hangs up': [(response) => response.destroy(), /UND_ERR_SOCKET|ECONNRESET/],
}

t.test('a key server that misbehaves costs nobody who needs no new key', async (t) => {
  for (const [what, [mischief, reason]] of Object.entries(mischiefs)) {
    const server = await startIssuer(t)
    server.addKey('new')
    server.mischief = mischief
    const { verify, lines, settled } = verifierFor(t, { jwksUrl: server.keysUrl, jwtSecret: SECRET })
    await settled()
    t.match(lines, [{ level: 'warn', message: 'key set cannot be read', reason }], what)
    t.equal(await verify(tokenFor('ada')), 'ada')
    t.equal(await verify(server.token('bob', 'new')), 'unavailable')
  }
})

t.test('an issuer that names another, or a key set over plain http, has no keys', async (t) => {
  const issuer = await startIssuer(t)
  issuer.mischief = (response) =>
    response.end(JSON.stringify({ issuer: 'https://issuer.example', jwks_uri: issuer.keysUrl }))
  const { lines, settled } = verifierFor(t, { jwtIssuers: issuer.url, jwtAudience: AUDIENCE })
  await settled()
  t.match(lines, [{ reason: /of another issuer/ }])
  t.equal(issuer.reads, 0)
})

t.test('settings of key sets that cannot be honoured stop the start', async (t) => {
  const of = (input: ConfigInput) => () => verificationKeys(configFrom(input))
  t.throws(of({ jwtIssuers: 'https://issuer.example' }), /jwtIssuers: needs JWT_AUDIENCE/)
  for (const url of ['issuer.example', 'ftp://issuer.example', 'https://user:password@issuer.example', ''])
    t.throws(of({ jwksUrl: url }), /jwksUrl: must be http or https/)
  t.throws(of({ jwksUrl: 'https://issuer.example', jwtAlgorithms: 'HS256' }), /no accepted algorithm/)
  t.throws(of({}), /jwksUrl or jwtIssuers/)
  t.doesNotThrow(of({ jwksUrl: 'https://issuer.example/keys?v=1', jwtAlgorithms: 'ES256' }))
})

t.test(
  'a node starts without its key server, serves who needs no new key, and takes up the rest',
  async (t) => {
    const server = await startIssuer(t)
    server.addKey('one')
    const hanging: (() => void)[] = []
    server.mischief = (response) => hanging.push(() => response.destroy())
    const node = await startServer({ JWKS_URL: server.keysUrl })
    t.teardown(() => node.stop())
    const own = await connect(node, 'own')
    const waiting = RawSocket.upgrade(node, `/ws?token=${server.token('ada', 'one')}`)
    t.match(await own.request({ type: 'refresh', token: server.token('own', 'one') }), {
      code: 'unavailable',
    })
    const refused = await waiting
    t.match(refused.response, { status: 503 })
    t.match(refused.response?.headers, { 'retry-after': '2' })
    refused.destroy()
    server.mischief = undefined
    for (const end of hanging) end()
    const ada = await pollUntil(
      'the keys are there',
      () => connect(node, 'ada', {}, { token: server.token('ada', 'one') }).catch(() => undefined),
      20_000,
    )
    server.mischief = (response) => response.writeHead(500).end()
    t.match(await own.fence(), [], 'who was there is there')
    t.match(await own.request({ type: 'refresh', token: server.token('own', 'one') }), { type: 'refreshed' })
    const again = await connect(node, 'ada', {}, { token: server.token('ada', 'one', { jti: 'another' }) })
    t.strictSame(
      node.logs.map(({ msg }) => msg).filter((msg) => String(msg).startsWith('key set')),
      ['key set cannot be read', 'key set read'],
    )
    await Promise.all([own.close(), ada.close(), again.close()])
  },
)

import fc from 'fast-check'
import t from 'tap'
import { defaultPermissions, Permissions, RoomPattern } from '../../src/auth/permissions.ts'
import { signToken } from '../../src/auth/sign-token.ts'
import { identityFrom, tokenOf } from '../../src/auth/token.ts'
import { TokenCache } from '../../src/auth/token-cache.ts'
import { heldBytes } from '../support/held-bytes.ts'

t.test('a star stands for any run of characters, everything else for itself', async (t) => {
  const matches = (pattern: string, room: string) => new RoomPattern(pattern, 'me').matches(room)
  for (const [pattern, room] of [
    ['*', ''],
    ['*', 'anything at all'],
    ['a*', 'a'],
    ['*a', 'bba'],
    ['a*a', 'aa'],
    ['a*b*c', 'a1b2b3c'],
    ['[a-z].?', '[a-z].?'],
    ['user:$user', 'user:me'],
    ['$user/*', 'me/inbox'],
    ['**', 'x'],
  ] as const) {
    t.ok(matches(pattern, room), `${pattern} ~ ${room}`)
  }
  for (const [pattern, room] of [
    ['a', 'A'],
    ['a', 'ab'],
    ['a*a', 'a'],
    ['a*b*c', 'acb'],
    ['a.c', 'abc'],
    ['user:$user', 'user:you'],
    ['', 'x'],
    ['*ab*ab', 'xab'],
  ] as const) {
    t.notOk(matches(pattern, room), `${pattern} !~ ${room}`)
  }
})

t.test('patterns agree with a regular expression, in linear time', async () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 10 })
  const room = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 14 })
  fc.assert(
    fc.property(letters, room, (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll('*', '.*')}$`)
      return new RoomPattern(pattern, '').matches(name) === expression.test(name)
    }),
    { numRuns: 3000 },
  )
})

t.test("a star in the user's own name is a plain character", async (t) => {
  const permissions = new Permissions({ join: ['$user'] }, '*')
  t.ok(permissions.canJoin('*'))
  t.notOk(permissions.canJoin('other'))
})

t.test('a pattern that is written out for a long user is small, or gone: rooms have 128 bytes', async (t) => {
  const user = 'u'.repeat(100)
  const many = Array.from({ length: 256 }, () => '$user*'.repeat(42))
  const permissions = new Permissions({ join: [...many, '*'.repeat(256), '$user/*'], publish: many }, user)
  t.ok(permissions.bytes < 2048, `${permissions.bytes} bytes`)
  t.ok(permissions.canJoin('anything'))
  t.ok(new Permissions({ join: ['$user/*'] }, user).canJoin(`${user}/a`))
})

t.test('what a token does not name is not allowed', async (t) => {
  const permissions = new Permissions({ join: ['a'] }, 'me')
  t.ok(permissions.canJoin('a'))
  t.notOk(permissions.canPublish('a'))
  t.notOk(permissions.broadcast)
  t.notOk(permissions.admin)
})

t.test('default permissions are shared unless they name the user', async (t) => {
  const plain = defaultPermissions({ join: ['*'] })
  t.equal(plain('a'), plain('b'))
  const own = defaultPermissions({ join: ['$user'] })
  t.ok(own('a').canJoin('a'))
  t.notOk(own('a').canJoin('b'))
})

t.test('claims that break a rule give no identity', async (t) => {
  const rules = {
    requireExp: true,
    requireSub: true,
    clockToleranceMs: 500,
    defaultPermissions: defaultPermissions({}),
  }
  t.match(identityFrom({ sub: 'u', exp: 10 }, rules), { user: 'u', expiresAt: 10_500 })
  for (const [claims, fault] of [
    [null, 'its claims'],
    ['text', 'its claims'],
    [[], 'its claims'],
    [{}, 'exp is missing'],
    [{ sub: 'u' }, 'exp is missing'],
    [{ exp: 10 }, 'sub is missing'],
    [{ sub: '', exp: 10 }, 'sub is not'],
    [{ sub: {}, exp: 10 }, 'sub is not'],
    [{ sub: 5, exp: 10 }, 'sub is not'],
    [{ sub: 'u', exp: '10' }, 'exp is not'],
    [{ sub: 'u', exp: 1e300 }, 'exp is not'],
    [{ sub: 'u', exp: 1_900_000_000_000 }, 'exp is not a time in seconds'],
    [{ sub: 'u', exp: -1 }, 'exp is not'],
    [{ sub: 'u', exp: 10, can: 'all' }, 'can is not'],
    [{ sub: 'u', exp: 10, can: { join: '*' } }, 'can is not'],
    [{ sub: 'u', exp: 10, can: { broadcast: 'yes' } }, 'can is not'],
    [{ sub: 'u', exp: 10, can: { joins: ['*'], 'no\nword': 1 } }, 'can has words that there are not: joins'],
    [{ sub: 'server', exp: 10 }, "the sub server is nobody's"],
    [{ sub: 'u', exp: 10, iat: 'now' }, 'iat is not'],
    [{ sub: 'u', exp: 10, jti: 5 }, 'jti is not'],
    [{ sub: 'u', exp: 10, jti: 'x'.repeat(257) }, 'jti is not'],
    [{ sub: 'u', exp: 10, info: 'x'.repeat(1023) }, 'info has more than 1024 bytes'],
    [{ sub: 'u', exp: 10, info: '\u20ac'.repeat(341) }, 'info has more than 1024 bytes'],
    [{ sub: 'u', exp: 10, info: JSON.parse('['.repeat(17) + ']'.repeat(17)) }, 'info has'],
    [{ sub: 'u', exp: 10, rooms: 'lobby' }, 'rooms is not'],
    [{ sub: 'u', exp: 10, rooms: ['lobby', ''] }, 'rooms is not'],
    [{ sub: 'u', exp: 10, rooms: Array(101).fill('lobby') }, 'rooms is not'],
    [{ sub: 'u', exp: 10, rooms: ['lobby'] }, 'rooms has one that it may not join'],
    [{ sub: 'u', exp: 10, rooms: ['a', 'b'], can: { join: ['a'] } }, 'rooms has one that it may not join'],
  ] as const) {
    t.match(identityFrom(claims, rules), fault, JSON.stringify(claims))
  }
  const deep = JSON.parse('{"a":'.repeat(50_000) + 1 + '}'.repeat(50_000))
  t.match(identityFrom({ sub: 'u', exp: 10, info: deep }, rules), 'info has', 'info that no stringify takes')
  const lax = { ...rules, requireExp: false, requireSub: false }
  t.match(identityFrom({}, lax), { user: 'anonymous', isNameless: true, expiresAt: Infinity })
  t.match(identityFrom({ sub: 'anonymous' }, lax), "the sub anonymous is nobody's")
  t.match(identityFrom({ sub: 'anonymous', exp: 10 }, rules), { user: 'anonymous', isNameless: undefined })
})

t.test('info is kept as JSON text, rooms each once, and times in milliseconds', async (t) => {
  const rules = {
    requireExp: true,
    requireSub: true,
    clockToleranceMs: 500,
    defaultPermissions: defaultPermissions({ join: ['*'] }),
  }
  const of = (claims: object) => identityFrom({ sub: 'u', exp: 10, ...claims }, rules)
  t.match(of({ iat: 5.0009, jti: 'j' }), { issuedAtMs: 5000, jti: 'j' })
  t.strictSame(of({ rooms: ['b', 'a', 'b', '__proto__'] }), {
    user: 'u',
    permissions: rules.defaultPermissions('u'),
    expiresAt: 10_500,
    rooms: ['b', 'a', '__proto__'],
  })
  const nested = '['.repeat(16) + ']'.repeat(16)
  for (const text of [
    'null',
    '0',
    '""',
    '{"__proto__":{"a":1},"name":"Ada"}',
    nested,
    `"${'x'.repeat(1022)}"`,
  ])
    t.match(of({ info: JSON.parse(text) }), { info: text })
})

t.test('an end within a second is told as a whole number of milliseconds', async (t) => {
  const rules = {
    requireExp: true,
    requireSub: true,
    clockToleranceMs: 0,
    defaultPermissions: defaultPermissions({}),
  }
  for (const exp of [1795648910.528239, 1795648335.3355999, 1795648000.0005]) {
    const identity = identityFrom({ sub: 'u', exp }, rules)
    t.match(identity, { expiresAt: Math.floor(exp * 1000) })
  }
})

t.test('a pattern that names the user matches nothing where there is no name', async (t) => {
  const permissions = new Permissions({ join: ['inbox.$user', 'lobby'], publish: ['*$user*'] }, undefined)
  t.ok(permissions.canJoin('lobby'))
  for (const room of ['inbox.', 'inbox.anonymous', 'inbox.undefined', 'inbox.$user'])
    t.notOk(permissions.canJoin(room), room)
  t.notOk(permissions.canPublish('anything'))
})

t.test('a request has one token, in one of three places', async (t) => {
  const of = (query: unknown, authorization?: string, protocols?: string) =>
    tokenOf({ query, authorization: authorization?.split('\n'), protocols })
  t.equal(of({ token: 'a' }), 'a')
  t.equal(of({}, 'Bearer a'), 'a')
  t.equal(of({}, 'bearer a'), 'a')
  t.equal(of({}, undefined, 'roomcast.v1, bearer.a'), 'a')
  t.equal(of({ token: 'a' }, 'Basic eA=='), 'a', 'another scheme is not ours')
  for (const [query, authorization, protocols] of [
    [{}],
    [{ token: '' }],
    [{ token: ['a', 'b'] }],
    [{ token: ['a'] }],
    [{ token: 'a' }, 'Bearer a'],
    [{ token: 'a' }, undefined, 'bearer.a'],
    [{}, undefined, 'bearer.a, bearer.b'],
    [{}, 'Bearer '],
    [{}, 'Bearer a\nBearer b'],
    [{ Token: 'a' }],
    [null],
  ] as [unknown, string?, string?][]) {
    t.equal(of(query, authorization, protocols), undefined)
  }
})

t.test('signToken writes a compact HS256 token', async (t) => {
  const [header, payload, signature] = signToken({ sub: 'u' }, 'secret').split('.')
  t.strictSame(JSON.parse(Buffer.from(header as string, 'base64url').toString()), {
    alg: 'HS256',
    typ: 'JWT',
  })
  t.strictSame(JSON.parse(Buffer.from(payload as string, 'base64url').toString()), { sub: 'u' })
  t.match(signature, /^[\w-]{43}$/)
})

t.test('a token is remembered until it expires, and only so many are', async (t) => {
  const cache = new TokenCache()
  const identity = (expiresAt: number) => ({ user: 'u', permissions: new Permissions({}, 'u'), expiresAt })
  cache.set('a', identity(1000))
  t.equal(cache.get('a', 999)?.expiresAt, 1000)
  t.equal(cache.get('a', 1000), undefined)
  t.equal(cache.get('a', 999), undefined, 'an expired one is forgotten')
  cache.set('first', identity(Infinity))
  for (let n = 0; n < 10_000; n++) cache.set(`token ${n}`, identity(Infinity))
  t.equal(cache.get('first', 0), undefined)
  t.ok(cache.get('token 9999', 0))
})

t.test('tokens are remembered by what they take of memory', async (t) => {
  const can = {
    join: Array.from({ length: 150 }, (_, n) => `rooms/of/a/tenant/${n}/*`),
    publish: Array.from({ length: 40 }, (_, n) => `rooms/of/a/tenant/${n}`),
  }
  const cache = new TokenCache()
  const held = heldBytes(() => {
    for (let n = 0; n < 10_000; n++) {
      const permissions = new Permissions(can, `user ${n}`)
      cache.set(`${n}`.padStart(7_700, 'x'), { user: `user ${n}`, permissions, expiresAt: Infinity })
    }
    return cache
  })
  t.ok(held < 20 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
  t.ok(cache.get('9999'.padStart(7_700, 'x'), 0), 'the newest is among them')
})

t.test('so are their info and rooms', async (t) => {
  const cache = new TokenCache()
  const held = heldBytes(() => {
    for (let n = 0; n < 10_000; n++) {
      const rooms = Array.from({ length: 100 }, (_, room) => `${n}/${room}`.padEnd(100, 'x'))
      const info = JSON.stringify(`${n}`.padEnd(1000, 'x'))
      const permissions = new Permissions({}, 'u')
      cache.set(`token ${n}`, { user: 'u', permissions, expiresAt: Infinity, info, rooms, jti: `${n}` })
    }
    return cache
  })
  t.ok(held < 20 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
})

t.test('a remembered token keeps nothing of the request that it came in', async (t) => {
  const cache = new TokenCache()
  const held = heldBytes(() => {
    for (let n = 0; n < 5_000; n++) {
      const target = `/ws?token=${'x'.repeat(100)}${n}&more=${'y'.repeat(8_000)}`
      const token = target.slice(10, target.indexOf('&'))
      cache.set(token, { user: 'u', permissions: new Permissions({}, 'u'), expiresAt: Infinity })
    }
    return cache
  })
  t.ok(held < 8 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
  t.ok(cache.get(`${'x'.repeat(100)}4999`, 0))
})

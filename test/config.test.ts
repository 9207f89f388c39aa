import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { hasShortSecret, verificationKeys } from '../src/auth/keys.ts'
import { ConfigError, configFrom, configFromEnv, variableName } from '../src/config.ts'
import { loggedPath, withKeyMaterial } from '../src/service.ts'
import { settings } from '../src/settings.ts'

t.test('without any variable every setting has its default', async (t) => {
  const config = configFromEnv({})
  t.match(config, {
    port: 8080,
    host: '127.0.0.1',
    maxMessageBytes: 524_288,
    outboxMaxBytes: 1_048_576,
    slowClient: 'disconnect',
    pingIntervalMs: 25_000,
    drainMs: 0,
    jwtSecret: [],
    defaultCan: { join: ['*'], publish: ['*'], broadcast: true },
  })
  t.ok(Object.isFrozen(config))
  t.strictSame(configFromEnv({ PORT: '', MAX_CLIENTS: ' ' }), config, 'an empty variable is an unset one')
})

t.test('values are read from the environment and from an app alike', async (t) => {
  const config = configFromEnv({
    MAX_CLIENTS: '5',
    JWT_SECRET: 'a-first-long-secret, a-second-long-secret a-third-long-secret',
    JWT_REQUIRE_EXP: 'false',
    DEFAULT_CAN: '{"join":["a"]}',
    TRUST_PROXY: '10.0.0.0/8,loopback ::1',
    ALLOWED_ORIGINS: 'https://a.example http://b.example:8080',
  })
  const given = {
    maxClients: 5,
    jwtSecret: ['a-first-long-secret', 'a-second-long-secret', 'a-third-long-secret'],
    jwtRequireExp: false,
    defaultCan: { join: ['a'] },
    trustProxy: ['10.0.0.0/8', 'loopback', '::1'],
    allowedOrigins: ['https://a.example', 'http://b.example:8080'],
  }
  t.match(config, given)
  t.strictSame(configFrom(given), config)
})

t.test('a bad value stops the start, names the variable and does not repeat the value', async (t) => {
  for (const [name, value] of [
    ['PORT', '-1'],
    ['PORT', '8080x'],
    ['PORT', '1e3'],
    ['PORT', '65536'],
    ['MAX_CLIENTS', 'many'],
    ['MAX_CLIENTS', '0'],
    ['SLOW_CLIENT', 'wait'],
    ['LOG_LEVEL', 'loud'],
    ['JWT_REQUIRE_EXP', 'yes'],
    ['JWT_ALGORITHMS', 'none'],
    ['JWT_PUBLIC_KEY', 'not-a-key'],
    ['DEFAULT_CAN', '{"join":"*"}'],
    ['DEFAULT_CAN', '{'],
    ['DRAIN_MS', '20000'],
    ['TRUST_PROXY', '1'],
    ['TRUST_PROXY', '2'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', 'proxy.internal'],
    ['TRUST_PROXY', '10.0.0.0/8 1'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['TRUST_PROXY', '10.0.0/8'],
    ['WORKERS', '2'],
    ['READY_NEEDS_BRIDGE', 'true'],
    ['JWT_SECRET', 'correct horse, battery staple and a long phrase'],
    ['REDIS_URL', 'localhost'],
    ['REDIS_URL', 'redis+sentinel://a:1'],
    ['REDIS_URL', 'redis+cluster://a'],
    ['REDIS_PREFIX', 'a{b}'],
  ] as const) {
    const error = t.throws(() => configFromEnv({ [name]: value }), ConfigError) as Error
    t.match(error.message, `${name}: `, `${name}=${value}`)
  }
  t.notMatch((t.throws(() => configFromEnv({ JWT_PUBLIC_KEY: 'hush-hush' })) as Error).message, 'hush')
})

t.test('origins are taken as browsers send them, and no other way', async (t) => {
  const reads = (allowedOrigins: string) => () => configFromEnv({ ALLOWED_ORIGINS: allowedOrigins })
  for (const origin of [
    'null',
    'file://',
    'https://app.example',
    'http://localhost:3000',
    'http://[::1]:8080',
    'http://192.0.2.1',
    'https://xn--bcher-kva.example',
    'https://a_b.example',
    'https://app.example.',
    'capacitor://localhost',
    'ionic://localhost',
    'tauri://localhost',
    'app://.',
    'chrome-extension://abcdefghijklmnop',
    'safari-web-extension://8E3C0F0A-0000-4000-8000-000000000000',
  ]) {
    t.strictSame(reads(origin)().allowedOrigins, [origin], origin)
  }
  t.equal(reads('https://app.example file://')().allowedOrigins.length, 2)
  for (const origin of [
    '*',
    'https://*.example.org',
    'https://*',
    'https://app.*.example',
    'chrome-extension://*',
    'https://app.example:443',
    'http://app.example:80',
    'http://app.example:0',
    'http://app.example:08080',
    'https://app.example/',
    'https://app.example?a',
    'https://App.example',
    'HTTPS://app.example',
    'https://bücher.example',
    'https://user@app.example',
    'https://user:word@app.example',
    'https://app..example',
    'https://.example',
    `https://${'a'.repeat(64)}.example`,
    'https://app$.example',
    'https://127.1',
    'http://[0:0:0:0:0:0:0:1]',
    'wss://app.example',
    'ws://app.example',
    'ftp://app.example',
    'file:///',
    'file:///page.html',
    'app://user@host',
    'app://host/path',
    'data://x',
    'app.example',
    'localhost:3000',
    'NULL',
    'https://',
  ]) {
    t.throws(reads(origin), /^ALLOWED_ORIGINS: must be origins/, origin)
  }
})

t.test('a number outside its range is told the range, and nothing else is said', async (t) => {
  for (const [name, value, range] of [
    ['PORT', '99999', '0 to 65535'],
    ['PORT', '-1', '0 to 65535'],
    ['WORKERS', '0', '1 to 256'],
  ] as const) {
    const { message } = t.throws(() => configFromEnv({ [name]: value })) as Error
    t.equal(message, `${name}: must be a whole number from ${range}`)
  }
})

t.test('to an app, a string is one secret, and faults have the names of options', async (t) => {
  const passphrase = 'correct horse, battery staple and a long phrase'
  t.strictSame(configFrom({ jwtSecret: passphrase }).jwtSecret, [passphrase])
  t.throws(() => configFrom({ maxClients: 'many' }), /^maxClients: must be/)
  t.throws(() => verificationKeys(configFrom({})), /^jwtSecret, jwtPublicKey, jwksUrl or jwtIssuers: /)
  t.throws(
    () => verificationKeys(configFrom({}), variableName),
    /^JWT_SECRET, JWT_PUBLIC_KEY, JWKS_URL or JWT_ISSUERS: /,
  )
})

t.test('every setting has a description and a name of its own', async (t) => {
  const names = Object.keys(settings.shape).map(variableName)
  t.equal(new Set(names).size, names.length)
  for (const [key, schema] of Object.entries(settings.shape)) {
    t.ok((schema as { description?: string }).description, key)
  }
})

t.test('a key is used for the algorithms of its kind only', async (t) => {
  const pem = (type: 'rsa' | 'ec' | 'ed25519') => {
    const { publicKey } =
      type === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : type === 'ec'
          ? generateKeyPairSync('ec', { namedCurve: 'P-384' })
          : generateKeyPairSync('ed25519')
    return publicKey.export({ type: 'spki', format: 'pem' }).toString()
  }
  const keys = verificationKeys(
    configFrom({
      jwtSecret: 's',
      jwtPublicKey: pem('rsa') + pem('ec') + pem('ed25519').replaceAll('\n', '\\n'),
    }),
  )
  t.strictSame(
    keys.map(({ algorithms }) => algorithms),
    [['HS256'], ['RS256'], ['ES384'], ['EdDSA']],
  )
  const chosen = verificationKeys(
    configFrom({ jwtSecret: 's', jwtPublicKey: pem('rsa'), jwtAlgorithms: 'HS512 PS256' }),
  )
  t.strictSame(
    chosen.map(({ algorithms }) => algorithms),
    [['HS512'], ['PS256']],
  )
  t.throws(() => verificationKeys(configFrom({ jwtSecret: 's', jwtAlgorithms: 'RS256' })), ConfigError)
  t.ok(hasShortSecret(configFrom({ jwtSecret: 'short' })))
})

t.test('a server without key material makes a secret, but not in production', async (t) => {
  const made = withKeyMaterial(configFromEnv({}))
  t.equal(made.devSecret?.secret, made.config.jwtSecret[0])
  t.equal(made.config.jwtSecret[0]?.length, 43)
  t.equal(withKeyMaterial(configFromEnv({ JWT_SECRET: 'x' })).devSecret, undefined)
  t.throws(
    () => withKeyMaterial(configFromEnv({ NODE_ENV: 'production' })),
    /JWT_SECRET, JWT_PUBLIC_KEY, JWKS_URL or JWT_ISSUERS/,
  )
})

t.test('a logged path holds nothing that could be a token', async (t) => {
  for (const [url, path] of [
    ['/', '/'],
    ['/ws?token=SECRET123', '/ws'],
    ['/ws%3Ftoken=SECRET123', '/ws'],
    ['/w%zz?token=SECRET123', '/w'],
    ['/ws;token=SECRET123', '/ws'],
    ['/ws/SECRET123', '/ws/…'],
    ['/ws/secret123', '/ws/…'],
    ['/SECRET123', '/…'],
    ['/eyJhbGciOiJIUzI1NiJ9.e30.x', '/…'],
    ['/secretsecretsecret', '/…'],
    ['*', ''],
  ] as const) {
    t.equal(loggedPath(url), path, url)
  }
})

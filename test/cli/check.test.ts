// check: planted misconfigurations are named with their mend, and healthy set-ups get no word.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { clockFinding, ownClock } from '../../cli/checks/clock.ts'
import { findings } from '../../cli/commands/check.ts'
import type { Finding } from '../../cli/finding.ts'
import { runCli } from '../support/cli.ts'
import { freePort } from '../support/free-port.ts'
import { startRedis } from '../support/redis.ts'
import { startCluster } from '../support/test-cluster.ts'
import { keyPair, SECRET } from '../support/token.ts'

type Env = Record<string, string>
type Flags = Parameters<typeof findings>[1]

const redis = await startRedis(['--maxmemory', '100mb', '--maxmemory-policy', 'volatile-lru'])
t.teardown(() => redis.stop())
const PORT = String(await freePort())
/** As in production, with Redis. */
const healthy: Env = {
  PORT,
  NODE_ENV: 'production',
  HOST: '127.0.0.1',
  JWT_SECRET: SECRET,
  API_KEYS: 'shop:a-secret-of-the-shop',
  ALLOWED_ORIGINS: 'https://example.com',
  DEFAULT_CAN: '{}',
  TRUST_PROXY: 'loopback',
  MAX_CLIENTS: '500',
  REDIS_URL: redis.url,
}
const wrong = (found: Finding[]) => found.filter(({ level }) => level !== 'ok')
const listening = (server: ReturnType<typeof createServer>) =>
  new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
    t.teardown(() => server.close())
  })

let named = 0

/** Plants it, and looks for a finding of that name whose cause says so, with a mend. */
async function isNamed(
  what: string,
  env: Env,
  name: string,
  cause: RegExp,
  flags: Flags = {},
): Promise<void> {
  const found = wrong(await findings({ ...healthy, ...env }, flags))
  const one = found.find((finding) => finding.name === name && cause.test(finding.cause))
  t.ok(one?.mend, `${what}: ${JSON.stringify(found)}`)
  if (one !== undefined) named++
}

t.test('settings', async () => {
  await isNamed('no value', { MAX_CLIENTS: 'many' }, 'settings', /MAX_CLIENTS: must be a whole number/)
  await isNamed('no keys', { JWT_SECRET: '' }, 'settings', /JWT_SECRET, JWT_PUBLIC_KEY/)
  await isNamed('a misspelt name', { ALLOWED_ORIGIN: 'x' }, 'settings', /ALLOWED_ORIGIN is no setting/)
  await isNamed('another misspelt name', { JWT_SECRETS: 'x' }, 'settings', /JWT_SECRETS is no setting/)
  await isNamed('a short secret', { JWT_SECRET: 'only-twenty-letters!' }, 'secret', /less than 32 bytes/)
  await isNamed('an example secret', { JWT_SECRET: `changeme-${SECRET}` }, 'secret', /of an example/)
  await isNamed('one secret for two', { API_KEYS: `shop:${SECRET}` }, 'secret', /also a JWT_SECRET/)
  await isNamed(
    'no production',
    { NODE_ENV: '', HOST: '0.0.0.0' },
    'production',
    /NODE_ENV is not production/,
  )
  await isNamed('tokens without an end', { JWT_REQUIRE_EXP: 'false' }, 'expiry', /never end/)
  await isNamed('a wide leeway', { JWT_CLOCK_TOLERANCE_MS: '3600000' }, 'expiry', /60 min longer/)
  await isNamed('no origins', { ALLOWED_ORIGINS: '' }, 'origin', /any site/)
  const origin = 'https://other.example'
  await isNamed('an origin that is missing', {}, 'origin', /pages of .* are refused/, { origin })
  await isNamed('everybody may everything', { DEFAULT_CAN: '' }, 'permissions', /everywhere/)
  await isNamed('everybody an admin', { DEFAULT_CAN: '{"admin":true}' }, 'permissions', /admin/)
  await isNamed('no limit', { MESSAGE_RATE: '0' }, 'limits', /MESSAGE_RATE is 0/)
  await isNamed('a debug log', { LOG_LEVEL: 'debug' }, 'log', /LOG_LEVEL=debug/)
  await isNamed('rare pings', { PING_INTERVAL_MS: '90000' }, 'idle', /idle time-out of 60 s/)
  await isNamed('a short idle time-out', {}, 'idle', /20 s, the proxy's/, { idleTimeout: 20 })
  await isNamed('all are proxies', { TRUST_PROXY: '0.0.0.0/1' }, 'proxy', /make up an address/)
  await isNamed('no proxy is trusted', { TRUST_PROXY: '' }, 'proxy', /TRUST_PROXY is empty/)
  await isNamed('another proxy', {}, 'proxy', /does not hold 10.0.0.5/, { proxy: '10.0.0.5' })
  await isNamed('a rule in the shade', { ROOM_RULES: '[{"match":"*"},{"match":"a"}]' }, 'rules', /ever used/)
  await isNamed('no history', { HISTORY_SIZE: '0' }, 'history', /has missed/)
  await isNamed('two that exclude each other', { DRAIN_MS: '20000' }, 'settings', /SHUTDOWN_GRACE_MS/)
})

t.test('Redis', async (t) => {
  const start = async (...args: string[]) => {
    const one = await startRedis(args)
    t.teardown(() => one.stop())
    return one
  }
  await isNamed(
    'nobody listens',
    { REDIS_URL: `redis://127.0.0.1:${await freePort()}` },
    'redis',
    /ECONNREFUSED: /,
  )
  const locked = await start()
  await locked.command('CONFIG', 'SET', 'requirepass', 'pass')
  await isNamed('no password', { REDIS_URL: locked.url }, 'redis', /^NOAUTH: /)
  await isNamed(
    'a wrong password',
    { REDIS_URL: locked.url.replace('//', '//:other@') },
    'redis',
    /^WRONGPASS/,
  )
  const full = await start('--maxmemory', '100mb', '--maxmemory-policy', 'noeviction')
  await isNamed('no eviction', { REDIS_URL: full.url }, 'redis memory', /noeviction/)
  await full.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random')
  await isNamed('eviction at random', { REDIS_URL: full.url }, 'redis memory', /allkeys-random evicts/)
  await full.command('CONFIG', 'SET', 'maxmemory', '0')
  await isNamed('no bound', { REDIS_URL: full.url }, 'redis memory', /maxmemory is not set/)
  await full.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  await full.command('CONFIG', 'SET', 'maxmemory', '1')
  await isNamed('full', { REDIS_URL: full.url }, 'redis', /^OOM/)
  await redis.command('ACL', 'SETUSER', 'few', 'on', '>pass', '~*', '&*', '+@all', '-rpush')
  await isNamed(
    'a command is forbidden',
    { REDIS_URL: redis.url.replace('//', '//few:pass@') },
    'redis',
    /^NOPERM RPUSH/,
  )
  await redis.command('ACL', 'SETUSER', 'deaf', 'on', '>pass', '~*', '+@all', 'resetchannels', '&other:*')
  await isNamed(
    'channels are forbidden',
    { REDIS_URL: redis.url.replace('//', '//deaf:pass@') },
    'redis',
    /^NOPERM/,
  )
  const cluster = await startCluster(0)
  t.teardown(() => cluster.stop())
  const ofAll = cluster.url.replace('//', '//few:pass@')
  for (const master of cluster.masters)
    await master.command('CONFIG', 'SET', 'maxmemory', '100mb', 'maxmemory-policy', 'volatile-lru')
  t.strictSame(wrong(await findings({ ...healthy, REDIS_URL: cluster.url }, {})), [], 'a Cluster')
  for (const [index, master] of cluster.masters.entries())
    await master.command(
      'ACL',
      'SETUSER',
      'few',
      'on',
      '>pass',
      '~*',
      '&*',
      '+@all',
      index === 2 ? '-rpush' : '+rpush',
    )
  await isNamed('a command is forbidden by one of a Cluster', { REDIS_URL: ofAll }, 'redis', /^NOPERM RPUSH/)
  const replica = await start('--replicaof', '127.0.0.1', String(redis.port))
  await isNamed('a replica', { REDIS_URL: replica.url }, 'redis', /^READONLY/)
  const ofCluster = await start('--cluster-enabled', 'yes')
  await isNamed('a Cluster', { REDIS_URL: ofCluster.url }, 'redis', /URL does not say so/)
  const http = await listening(createHttp((_request, response) => response.end('hello')))
  await isNamed('no Redis', { REDIS_URL: `redis://127.0.0.1:${http}` }, 'redis', /speak|closed|E[A-Z]+/)
  const sentinels = await Promise.all(
    ['a', 'b'].map(async (folder, at) => {
      const port = await freePort()
      const path = `${t.testdir({})}/../sentinel-${folder}`
      mkdirSync(path, { recursive: true })
      const master = at === 0 ? redis.port : locked.port
      writeFileSync(
        `${path}/s.conf`,
        `port ${port}\nbind 127.0.0.1\ndir ${path}\nsentinel monitor main 127.0.0.1 ${master} 1\n`,
      )
      const { startProgram } = await import('../support/program.ts')
      const sentinel = startProgram(t, 'redis-server', [`${path}/s.conf`, '--sentinel'])
      await sentinel.prints('+monitor master')
      return `127.0.0.1:${port}`
    }),
  )
  const sentinelUrl = `redis+sentinel://${sentinels.join()}`
  await isNamed('two masters', { REDIS_URL: `${sentinelUrl}/main` }, 'two masters', /do not agree/)
  await isNamed(
    'a name that no Sentinel knows',
    { REDIS_URL: `${sentinelUrl}/other` },
    'sentinels',
    /knows no master/,
  )
})

t.test('the machine and the back ends', async (t) => {
  await isNamed('too many clients', { MAX_CLIENTS: '9000000' }, 'descriptors', /limit on open files/)
  await isNamed('too many workers', { WORKERS: '200' }, 'workers', /share/)
  const big = { REDIS_URL: '', HISTORY_TOTAL_BYTES: String(2 ** 39) }
  await isNamed('more history than memory', big, 'memory', /HISTORY_TOTAL_BYTES/)
  const taken = await listening(createServer((socket) => socket.destroy()))
  await isNamed('a port that is taken', { PORT: String(taken) }, 'port', /another program/)
  await isNamed('an address of another machine', { HOST: '192.0.2.1' }, 'port', /EADDRNOTAVAIL/)
  const nobody = `http://127.0.0.1:${await freePort()}`
  const hook = {
    HOOK_URL: nobody,
    HOOKS: 'join',
    HOOK_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}`,
  }
  await isNamed('no back end', hook, 'back end', /HOOK_URL cannot be reached: ECONNREFUSED/)
  await isNamed('no key server', { JWKS_URL: `${nobody}/jwks` }, 'key server', /jwks: /)
  const empty = await listening(createHttp((_request, response) => response.end('{"keys":[]}')))
  await isNamed('no keys', { JWKS_URL: `http://127.0.0.1:${empty}/jwks` }, 'key server', /no keys/)
  const folder = t.testdir({ log: `GET /ws?token=eyJhbGciOiJIUzI1NiJ9.eyJz HTTP/1.1\n` })
  await isNamed('a token in the access log', {}, 'access log', /1 lines/, { accessLog: `${folder}/log` })
  t.match(ownClock(0), [{ name: 'clock', level: 'fail' }])
  t.match(clockFinding('redis clock', -3_600_000), [{ level: 'fail', cause: /1 h behind/ }])
  t.match(clockFinding('redis clock', 900), [])
})

t.test('healthy set-ups get no word', async (t) => {
  const { publicPem } = keyPair('ES256')
  const setUps: [env: Env, flags?: Flags][] = [
    [{}],
    [{ REDIS_URL: '' }, { origin: 'https://example.com', proxy: '127.0.0.1', idleTimeout: 60 }],
    [{ JWT_SECRET: '', JWT_PUBLIC_KEY: publicPem }],
    [{ HOST: '0.0.0.0', TRUST_PROXY: '10.0.0.0/8' }, { proxy: '10.1.2.3' }],
    [{ WORKERS: '2' }],
    [{ ROOM_RULES: '[{"match":"news","publish":"server"},{"match":"*","presence":true}]' }],
    [{ PING_INTERVAL_MS: '10000', DRAIN_MS: '5000' }, { idleTimeout: 30 }],
    [{ NODE_ENV: '', JWT_SECRET: '', API_KEYS: '', REDIS_URL: '', ALLOWED_ORIGINS: '', TRUST_PROXY: '' }],
    [{ ALLOWED_ORIGINS: 'https://example.com null', DEFAULT_CAN: '{"join":["user.$user"]}' }],
    [{ JWT_SECRET: `${SECRET} another-${SECRET}`, HISTORY_SIZE: '500', PORT: '0' }],
  ]
  for (const [env, flags] of setUps)
    t.strictSame(wrong(await findings({ PATH: '/bin', HOME: '/root', ...healthy, ...env }, flags)), [])
  t.equal(setUps.length, 10)
})

t.test('the command prints them, and ends with 1 where something is to be mended', async (t) => {
  const fine = await runCli(t, ['check'], { env: healthy })
  t.equal(fine.code, 0, fine.stdout + fine.stderr)
  t.match(fine.stdout, /0 to mend, 0 to look at/)
  const out = await runCli(t, ['check', '--origin', 'https://other.example'], { env: healthy })
  t.match(out, { code: 1, stdout: /FAIL origin: .*\n +mend: add https:\/\/other.example/ })
  t.match(await runCli(t, ['check', '--max-clients', 'x', '--json'], { env: healthy }), {
    code: 1,
    stdout: /"fail": 1/,
  })
  const warned = { ...healthy, HISTORY_SIZE: '0' }
  t.match(await runCli(t, ['check', '--strict'], { env: warned }), { code: 1 })
  t.comment(`${named} planted misconfigurations are named`)
  t.ok(named >= 38)
})

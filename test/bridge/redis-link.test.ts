// What an operator reads where Redis cannot be used as the settings say.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { freePort } from '../support/free-port.ts'
import { startRedis, TestRedis } from '../support/redis.ts'
import { redisBridge } from '../support/redis-bridge.ts'
import { pollUntil } from '../support/until.ts'

const host = {
  node: 'n',
  joins: 0,
  remember: () => true,
  catchUp: async () => 'whole' as const,
  deliver() {},
  onceRested: (then: () => void) => then(),
  countClients: () => 0,
  tells: { hear() {}, missed() {} },
}

/** The bridge over `url`, with a way to ask what its links say. */
function bridgeOver(t: Test, url: string) {
  const bridge = redisBridge(url)
  t.teardown(() => bridge.close())
  bridge.start(host)
  const says = (reason: string) =>
    pollUntil(`both links say: ${reason}`, async () => {
      const { publisher, subscriber } = bridge.status()
      return publisher?.reason === reason && subscriber?.reason === reason
    })
  const saysOf = (link: 'publisher' | 'subscriber', reason: string) =>
    pollUntil(`the ${link} says: ${reason}`, async () => bridge.status()[link]?.reason === reason, 10_000)
  const isUp = () => pollUntil('the bridge is up', async () => bridge.status().state === 'up')
  return { says, saysOf, isUp }
}

t.test('a database that cannot be had is not replaced by another', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  await bridgeOver(t, `${redis.url}/99`).says('ERR DB index is out of range')
  await redis.command('ACL', 'SETUSER', 'ada', 'on', '>secret', '~*', '&*', '+@all', '-select')
  const refused = bridgeOver(t, `redis://ada:secret@127.0.0.1:${redis.port}/3`)
  await refused.says('NOPERM SELECT')
  t.match(await redis.command('INFO', 'keyspace'), /^# Keyspace\s*$/, 'nothing was written')
  await redis.command('ACL', 'SETUSER', 'ada', '+select')
  await refused.isUp()
  t.match(await redis.command('INFO', 'keyspace'), /db3:keys=1/)
})

t.test('a Redis of another kind, and what is none, are named', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  await bridgeOver(t, `redis+cluster://127.0.0.1:${redis.port}`).says(
    'ERR This instance has cluster support disabled',
  )
  await bridgeOver(t, `redis+sentinel://127.0.0.1:${redis.port}/main`).says('no sentinel knows the master')

  const web = createServer((socket) =>
    socket.on('error', () => {}).once('data', () => socket.end('HTTP/1.1 400 \r\n\r\n')),
  )
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  t.teardown(() => web.close())
  await bridgeOver(t, `redis://127.0.0.1:${(web.address() as AddressInfo).port}`).says(
    'it does not speak as Redis',
  )
})

t.test("a plain URL for a Cluster's server is told from a Cluster's", async (t) => {
  const redis = await startRedis(['--cluster-enabled', 'yes'])
  t.teardown(() => redis.stop())
  await redis.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
  await bridgeOver(t, redis.url).saysOf('publisher', 'it is of a Cluster and the URL does not say so')
  await bridgeOver(t, redis.url.replace('redis:', 'redis+cluster:')).isUp()
})

t.test('a Cluster without an owner for any slot says so', async (t) => {
  const redis = await startRedis(['--cluster-enabled', 'yes'])
  t.teardown(() => redis.stop())
  await bridgeOver(t, redis.url.replace('redis:', 'redis+cluster:')).says('no master has slots')
})

t.test('a command that an operator has renamed is named', async (t) => {
  for (const command of ['INFO', 'SCRIPT', 'EVALSHA', 'TIME', 'HEXISTS', 'PUBLISH']) {
    const redis = await startRedis(['--rename-command', command, `MY${command}`])
    t.teardown(() => redis.stop())
    await bridgeOver(t, redis.url).saysOf('publisher', `unknown command ${command}`)
    await redis.stop()
  }
  const redis = await startRedis(['--rename-command', 'SUBSCRIBE', 'MYSUBSCRIBE'])
  t.teardown(() => redis.stop())
  await bridgeOver(t, redis.url).saysOf('subscriber', 'unknown command SUBSCRIBE')
})

t.test('a command that a user may not run is named, and nothing is tried in vain', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  for (const command of ['info', 'rpush', 'hexists', 'publish', 'script|load', 'evalsha']) {
    await redis.command('ACL', 'SETUSER', 'ada', 'reset', 'on', '>secret', '~*', '&*', '+@all', `-${command}`)
    const bridge = bridgeOver(t, `redis://ada:secret@127.0.0.1:${redis.port}`)
    await bridge.saysOf('publisher', `NOPERM ${command.toUpperCase()}`)
  }
  t.strictSame(await redis.command('KEYS', '*check*'), [])
})

t.test('a Redis that loads its data says so', async (t) => {
  const redis = new TestRedis(await freePort())
  t.teardown(() => redis.stop())
  await redis.start()
  for (let n = 0; n < 50; n++) await redis.command('SET', `key${n}`, randomBytes(2000))
  await redis.command('SAVE')
  await redis.kill()
  const bridge = bridgeOver(t, redis.url)
  await bridge.says('ECONNREFUSED')
  // 50 keys, each of them 60 ms.
  const started = redis.start([
    '--key-load-delay',
    '60000',
    '--loading-process-events-interval-bytes',
    '1024',
  ])
  await bridge.saysOf('publisher', 'LOADING')
  await started
  await bridge.isUp()
})

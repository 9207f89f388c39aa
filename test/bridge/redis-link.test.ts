// What an operator reads where Redis cannot be used as the settings say.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { startRedis } from '../support/redis.ts'
import { redisBridge } from '../support/redis-bridge.ts'
import { pollUntil } from '../support/until.ts'

const limits = { historySize: 10, historyTtlMs: 10_000, historyMaxBytes: 10_000 }
const host = {
  node: 'n',
  joins: 0,
  remember() {},
  catchUp: async () => true,
  deliver() {},
  onceRested: (then: () => void) => then(),
  countClients: () => 0,
}

/** The bridge over `url`, with a way to ask what its links say. */
function bridgeOver(t: Test, url: string) {
  const bridge = redisBridge(url, limits)
  t.teardown(() => bridge.close())
  bridge.start(host)
  const says = (reason: string) =>
    pollUntil(`both links say: ${reason}`, async () => {
      const { publisher, subscriber } = bridge.status()
      return publisher?.reason === reason && subscriber?.reason === reason
    })
  const isUp = () => pollUntil('the bridge is up', async () => bridge.status().state === 'up')
  return { says, isUp }
}

t.test('a database that cannot be had is not replaced by another', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  await bridgeOver(t, `${redis.url}/99`).says('ERR DB index is out of range')
  await redis.command('ACL', 'SETUSER', 'ada', 'on', '>secret', '~*', '&*', '+@all', '-select')
  const refused = bridgeOver(t, `redis://ada:secret@127.0.0.1:${redis.port}/3`)
  await refused.says('NOPERM')
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

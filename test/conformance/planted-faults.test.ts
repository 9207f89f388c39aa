// Each fault that is planted before a sound server is found, by the check that is there for it.
import t from 'tap'
import { runAgainst, startWithEverything, those } from './checked.ts'
import { connectingFaults } from './faults/connecting.ts'
import { deliveryFaults } from './faults/delivery.ts'
import { envelopeFaults } from './faults/envelopes.ts'
import { httpFaults } from './faults/http.ts'
import { recoveryFaults } from './faults/recovery.ts'
import { startProxy } from './faulty-proxy.ts'

const faults = [...connectingFaults, ...envelopeFaults, ...deliveryFaults, ...recoveryFaults, ...httpFaults]
/** What a planted silence costs each check that meets it. */
const PATIENCE_MS = 1_000
/** So many proxies at a time. */
const AT_A_TIME = 4
/** The proxy puts fragments together, so the server sees none. */
const UNSEEN = /^Size: in more fragments/

const server = await startWithEverything(t, {
  CONNECT_RATE_MAX: '0',
  MESSAGE_RATE: '100',
  MESSAGE_BURST: '1000',
})

t.test('through a proxy that changes nothing, all is as it should be', async (t) => {
  const url = await startProxy(t, server)
  const report = await runAgainst(url, { timeoutMs: 4_000 })
  t.strictSame(
    those(report, 'failed').filter((line) => !UNSEEN.test(line)),
    [],
  )
})

t.test('there are thirty faults and more', async (t) => {
  t.ok(faults.length >= 30, `${faults.length}`)
  t.equal(new Set(faults.map(({ name }) => name)).size, faults.length, 'each its own')
})

t.test('each is found', { jobs: AT_A_TIME }, async (t) => {
  for (const { name, section, check, says, ...changes } of faults) {
    t.test(name, { buffered: true }, async (t) => {
      const url = await startProxy(t, server, changes)
      const report = await runAgainst(url, { sections: [section], timeoutMs: PATIENCE_MS })
      const found = report.results.find((result) => result.name === check)
      t.equal(found?.outcome, 'failed', `"${check}" fails`)
      t.match(found?.reason, says)
    })
  }
})

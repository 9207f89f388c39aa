// A load by the command, on a real server: what is published comes, and what does not is said.
import t from 'tap'
import { Latencies } from '../../cli/bench-run.ts'
import { BIN, cliJson, runCli } from '../support/cli.ts'
import { startServer } from '../support/server.ts'
import { Terminal } from '../support/tmux.ts'
import { SECRET } from '../support/token.ts'

const server = await startServer()
t.teardown(() => server.stop())
const env = { ROOMCAST_URL: `http://${server.host}:${server.port}` }

t.test('all that is published comes to all others in the room', async (t) => {
  const args = ['bench', '--rooms', '3', '--members', '4', '--rate', '60', '--time', '2s', '--size', '50']
  const { clients, published, acked, due, delivered, lost, deliveryMs } = await cliJson(t, args, { env })
  t.equal(clients, 12)
  t.ok(published > 60, `${published} are published`)
  t.strictSame(
    { acked, due, delivered, lost },
    { acked: published, due: 3 * published, delivered: 3 * published, lost: 0 },
  )
  t.ok(deliveryMs.p50 > 0 && deliveryMs.p50 <= deliveryMs.p99 && deliveryMs.p99 <= deliveryMs.max)
})

t.test('what is refused ends in 1, and so do clients that cannot connect', async (t) => {
  const token = (await runCli(t, ['token', '--can', '{"join":["*"]}'])).stdout.trim()
  const args = ['bench', '--rooms', '1', '--members', '2', '--rate', '20', '--time', '1s']
  const refused = await runCli(t, [...args, '--token', token, '--json'], { env })
  t.match(refused, { code: 1, stdout: /"lost":0,"refused":[1-9]/ })
  t.match(await runCli(t, [...args, '--token', 'x'], { env }), {
    code: 1,
    stderr: /^roomcast bench: client \d cannot connect: .*401\n$/,
  })
  t.match(await runCli(t, ['bench', '--members', '1'], { env }), { code: 2 })
})

t.test('a person sees how it goes on, and the summary', async (t) => {
  const screen = new Terminal(t, 120, 20)
  screen.type(
    `ROOMCAST_URL=${env.ROOMCAST_URL} JWT_SECRET=${SECRET} ${process.execPath} ${BIN} bench --time 3s`,
  )
  await screen.shows(/publishing: 100 of 100 clients/)
  await screen.shows(/0 lost, 0 refused, 0 cut[\s\S]*delivery +\d/)
})

t.test('percentiles', async (t) => {
  const all = new Latencies()
  t.equal(all.percentile(99), 0)
  for (let ms = 1; ms <= 1000; ms++) all.add(ms)
  for (const part of [50, 95, 99]) t.ok(Math.abs(all.percentile(part) / (part * 10) - 1) < 0.04, `p${part}`)
  t.equal(all.percentile(100), 1000)
})

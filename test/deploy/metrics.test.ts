// The alert rules and the dashboard, with Debian's Prometheus and two nodes under a small load.
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { HOOK_SECRET, startBackEnd } from '../support/back-end.ts'
import { type Client, connect } from '../support/client.ts'
import { hasCommand } from '../support/has-command.ts'
import { startNodes } from '../support/nodes.ts'
import { Prometheus, promtool, RULES } from '../support/prometheus.ts'
import { startRedis } from '../support/redis.ts'
import type { Server } from '../support/server.ts'
import { pollUntil } from '../support/until.ts'

const skip = hasCommand('promtool') ? false : `prometheus is not installed, so ${RULES} is not tried`
const rules = readFileSync(RULES, 'utf8')
const alertNames = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string)

interface Panel {
  type: string
  title: string
  targets?: { expr: string }[]
  gridPos: { x: number; y: number; w: number; h: number }
}
const dashboard = JSON.parse(readFileSync('deploy/grafana/roomcast.json', 'utf8')) as { panels: Panel[] }
const variables: [RegExp, string][] = [
  [/\$__rate_interval/g, '10s'],
  [/\$instance/g, '.*'],
  [/\$job/g, 'roomcast'],
]
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({
    title,
    expr: variables.reduce((text, [name, value]) => text.replaceAll(name, value), expr),
  })),
)

/** Members on both nodes, who publish; ends with the test. */
async function startLoad(t: { teardown(f: () => unknown): void }, nodes: Server[]): Promise<void> {
  const clients: Client[] = []
  for (let n = 0; n < 8; n++) clients.push(await connect(nodes[n % 2] as Server, `u${n}`))
  for (const client of clients) await client.join('r')
  const timer = setInterval(() => {
    for (const client of clients) client.say('r', 'hello')
  }, 100)
  t.teardown(() => {
    clearInterval(timer)
    for (const client of clients) client.socket.destroy()
  })
}

t.test('two healthy nodes under load: all panels show something, no alert does', { skip }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { url } = await startBackEnd(t, (_asked, response) => response.end('{}'))
  const nodes = await startNodes(t, 2, {
    ...{ REDIS_URL: redis.url, PING_INTERVAL_MS: '300', ROOM_RULES: '[{"match":"r","webhook":true}]' },
    ...{ HOOK_URL: url, HOOKS: 'publish', HOOK_SECRET, WEBHOOK_URL: url, WEBHOOK_SECRET: HOOK_SECRET },
  })
  await startLoad(t, nodes)
  const prometheus = await Prometheus.start(t, nodes)
  await pollUntil(
    'both are scraped, and rates can be told',
    async () =>
      (await prometheus.query('rate(roomcast_deliveries_total[10s]) > 0')).length === 2 &&
      (await prometheus.query('rate(roomcast_ping_seconds_count[10s]) > 0')).length === 2,
    15_000,
  )
  t.ok(queries.length > 30)
  for (const { title, expr } of queries) {
    const samples = await prometheus.query(expr)
    const hasValues = samples.length > 0 && samples.every(({ value }) => Number.isFinite(Number(value[1])))
    t.ok(hasValues, `${title}: ${expr}${hasValues ? '' : ` gave ${JSON.stringify(samples)}`}`)
  }
  const alerts = await pollUntil('all are evaluated', async () => {
    const all = await prometheus.alerts()
    return all.every(({ health }) => health !== 'unknown') ? all : undefined
  })
  t.same(
    alerts.map(({ name }) => name),
    alertNames,
  )
  for (const { name, query, health, state, lastError } of alerts) {
    t.match({ health, state }, { health: 'ok', state: 'inactive' }, `${name} is quiet ${lastError ?? ''}`)
    t.same(await prometheus.query(query), [], name)
  }
  const exported = new Set((await prometheus.query('{job="roomcast"}')).map(({ metric }) => metric.__name__))
  const named = [...rules.matchAll(/\b(?:roomcast|process|nodejs)_\w+/g)].map(([name]) => name)
  t.same(
    named.filter((name) => !exported.has(name)),
    [],
    'the rules name only metrics that the nodes have',
  )
})

const NODE = '{job="roomcast", instance="a"}'
const labels = (more: string) => `{job="roomcast", instance="a", ${more}}`
const refused = (reason: string) => `roomcast_upgrades_refused_total${labels(`reason="${reason}"`)}`
const GROWS = '0+600x40'
/** Alert → series, by the minute, with which it fires after half an hour. */
const firesWith: Record<string, Record<string, string>> = {
  NodeDown: { [`up${NODE}`]: '0x40' },
  NoNodes: {},
  Restarts: {
    [`roomcast_info${labels('node="1"')}`]: '1x17',
    [`roomcast_info${labels('node="2"')}`]: '1x18',
    [`roomcast_info${labels('node="3"')}`]: '1x19',
    [`roomcast_info${labels('node="4"')}`]: '_x20 1x20',
  },
  DrainHangs: { [`roomcast_draining${NODE}`]: '1x40' },
  BridgeDown: { [`roomcast_bridge_up${NODE}`]: '0x40' },
  LinksDown: { [`roomcast_bridge_links_down${labels('link="publisher"')}`]: '1x40' },
  NodesDiffer: {
    [`roomcast_cluster_nodes${NODE}`]: '1x40',
    [`roomcast_info${NODE}`]: '1x40',
    'roomcast_info{job="roomcast", instance="b"}': '1x40',
  },
  NodeOnlyPublishes: { [`roomcast_published_node_only_total${NODE}`]: GROWS },
  MissedMessages: { [`roomcast_missed_total${NODE}`]: GROWS },
  RecoveriesLost: { [`roomcast_recoveries_total${labels('result="lost"')}`]: GROWS },
  EventLoopSlow: { [`nodejs_eventloop_lag_p99_seconds${NODE}`]: '0.5x40' },
  CpuBusy: { [`process_cpu_seconds_total${NODE}`]: '0+59x40', [`roomcast_info${NODE}`]: '1x40' },
  MemoryHigh: {
    [`process_resident_memory_bytes${NODE}`]: '90x40',
    [`roomcast_memory_limit_bytes${NODE}`]: '100x40',
  },
  HeapHigh: {
    [`nodejs_heap_size_used_bytes${NODE}`]: '90x40',
    [`roomcast_heap_limit_bytes${NODE}`]: '100x40',
  },
  DescriptorsHigh: { [`process_open_fds${NODE}`]: '90x40', [`process_max_fds${NODE}`]: '100x40' },
  SlowClients: {
    [`roomcast_closes_total${labels('cause="tooSlow"')}`]: GROWS,
    [`roomcast_clients${NODE}`]: '1000x40',
  },
  Drops: { [`roomcast_dropped_total${NODE}`]: GROWS },
  OutboxesFull: {
    [`roomcast_outbox_bytes${NODE}`]: '90x40',
    [`roomcast_memory_limit_bytes${NODE}`]: '100x40',
  },
  ClientsLost: {
    [`roomcast_closes_total${labels('cause="lost"')}`]: GROWS,
    [`roomcast_clients${NODE}`]: '1000x40',
  },
  Full: { [refused('full')]: GROWS },
  UpgradesFail: { [refused('unavailable')]: GROWS },
  TokensRefused: { [refused('unauthorized')]: GROWS, [`roomcast_connects_total${NODE}`]: '0x40' },
  UpgradesLimited: { [refused('rate_limited')]: GROWS },
  UpgradesMalformed: { [refused('origin_refused')]: GROWS },
  InternalErrors: { [`roomcast_errors_total${labels('code="internal"')}`]: GROWS },
  HooksFail: { [`roomcast_hook_failures_total${labels('hook="publish"')}`]: GROWS },
  WebhooksFail: { [`roomcast_webhook_failures_total${NODE}`]: GROWS },
  WebhookEventsDropped: { [`roomcast_webhook_events_dropped_total${labels('type="message"')}`]: GROWS },
}

t.test('promtool: the rules are sound, and each alert fires when it should', { skip }, async (t) => {
  t.match(await promtool('check', 'rules', RULES), `SUCCESS: ${alertNames.length} rules found`)
  t.match(
    await promtool('check', 'config', '--syntax-only', 'deploy/prometheus/prometheus.yml'),
    'is valid prometheus config',
  )
  t.same(
    Object.keys(firesWith).map((name) => `Roomcast${name}`),
    alertNames,
    'each has its case',
  )
  const tests = Object.entries(firesWith).map(([name, series]) => {
    const firing = `ALERTS{alertname="Roomcast${name}", alertstate="firing"}`
    return {
      interval: '1m',
      input_series: Object.entries(series).map(([series, values]) => ({ series, values })),
      promql_expr_test: [
        {
          expr: `count by (alertname) (${firing})`,
          eval_time: '30m',
          exp_samples: [{ labels: `{alertname="Roomcast${name}"}`, value: 1 }],
        },
      ],
    }
  })
  const file = join(t.testdir(), 'test.yml')
  writeFileSync(file, JSON.stringify({ rule_files: [resolve(RULES)], tests }))
  t.match(await promtool('test', 'rules', file), 'SUCCESS')
})

t.test('docs/OPERATIONS.md says what each alert means and what to do', async (t) => {
  const rows = readFileSync('docs/OPERATIONS.md', 'utf8').matchAll(
    /^\| `(Roomcast\w+)` \| (.+) \| (.+) \|$/gm,
  )
  t.same(
    [...rows].map(([, name]) => name),
    alertNames,
  )
})

t.test('the dashboard: panels have a query and do not lie on each other', async (t) => {
  const panels = dashboard.panels.filter(({ type }) => type !== 'row')
  for (const { title, targets = [] } of panels) t.ok(targets.length > 0, title)
  const taken = new Set<string>()
  for (const { title, gridPos } of dashboard.panels) {
    const { x, y, w, h } = gridPos
    const cells = Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`)
    t.ok(x + w <= 24 && !cells.some((cell) => taken.has(cell)), title)
    for (const cell of cells) taken.add(cell)
  }
})

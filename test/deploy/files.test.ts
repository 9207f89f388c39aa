// The systemd unit and the Kubernetes manifests: checked as far as that goes without systemd and a cluster.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { parseAllDocuments } from 'yaml'
import { configFrom, configFromEnv, variableName } from '../../src/config.ts'
import { settings } from '../../src/settings.ts'
import { hasCommand } from '../support/has-command.ts'
import { startProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'
import { SECRET } from '../support/token.ts'

const UNIT = 'deploy/systemd/roomcast.service'
const FOLDER = 'deploy/kubernetes'
const defaults = configFrom({})
const names = new Set(Object.keys(settings.shape).map(variableName))
const operations = readFileSync('docs/OPERATIONS.md', 'utf8')

t.test('the systemd unit: limits and times fit the settings', async (t) => {
  const lines = readFileSync(UNIT, 'utf8')
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
  const unit = new Map(lines.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]))
  t.ok(Number(unit.get('TimeoutStopSec')) * 1000 > defaults.shutdownGraceMs + 1_000)
  t.ok(Number(unit.get('LimitNOFILE')) >= defaults.maxClients + 128)
  t.equal(unit.get('KillSignal'), 'SIGTERM')
  t.match(unit.get('ExecStart'), / dist\/src\/server\.js$/, 'node itself, so that signals reach it')
  t.equal(unit.get('NoNewPrivileges'), 'yes')
  t.equal(unit.get('ProtectSystem'), 'strict')
  t.match(operations, `](../${UNIT})`, 'the document points to it')
  t.notMatch(operations, /^\[Service\]/m, 'and has none of its own')
  t.match(operations, `\`TimeoutStopSec\` (${unit.get('TimeoutStopSec')} s)`)
  t.match(operations, `\`LimitNOFILE\` (${Number(unit.get('LimitNOFILE')).toLocaleString('en-US')})`)
})

const noSystemd = hasCommand('systemd-analyze') ? false : 'systemd-analyze is not installed'
t.test('the systemd unit: systemd-analyze finds nothing', { skip: noSystemd }, async (t) => {
  // Node may be elsewhere on this machine, and a program that is not there is a fault.
  const file = join(t.testdir(), 'roomcast.service')
  writeFileSync(file, readFileSync(UNIT, 'utf8').replace('/usr/bin/node', process.execPath))
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
  t.same({ status, output: stdout + stderr }, { status: 0, output: '' })
})

interface Container {
  image: string
  ports: { name: string; containerPort: number }[]
  envFrom: { configMapRef?: { name: string }; secretRef?: { name: string } }[]
  securityContext: object
  resources: { limits: { memory: string } }
  startupProbe: { httpGet: { path: string; port: string } }
  livenessProbe: { httpGet: { path: string; port: string } }
  readinessProbe: { httpGet: { path: string; port: string } }
  lifecycle: { preStop: { exec: { command: string[] } } }
}
interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; labels: Record<string, string> }
  data: Record<string, string>
  spec: Record<string, unknown> & { selector?: object; podSelector?: object }
}

function manifests(t: Test): Manifest[] {
  return readdirSync(FOLDER).flatMap((file) => {
    const documents = parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8'))
    return documents.map((document) => {
      t.same(document.errors, [], file)
      return document.toJS() as Manifest
    })
  })
}

/** What the compiler says of manifests that are to be of the API's own types: unknown fields, wrong types, what is missing. */
function apiFaults(t: Test, all: readonly Manifest[]): string[] {
  const lines = all.map(({ apiVersion, kind, ...manifest }) => {
    const module = apiVersion.includes('/') ? apiVersion.replace('.k8s.io', '') : `core/${apiVersion}`
    const text = JSON.stringify({ apiVersion, kind, ...manifest })
    return `export const ${kind}: import('kubernetes-types/${module}').${kind} = ${text}`
  })
  const file = join(t.testdir({ 'manifests.ts': lines.join('\n') }), 'manifests.ts')
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  }
  const program = ts.createProgram([file], { ...options, module: ts.ModuleKind.ESNext })
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

t.test('the Kubernetes manifests are of the types that the API has', async (t) => {
  const all = manifests(t)
  t.same(apiFaults(t, all), [])
  const spoilt = (change: (deployment: Manifest) => void) => {
    const deployment = structuredClone(all.find(({ kind }) => kind === 'Deployment') as Manifest)
    change(deployment)
    return apiFaults(t, [deployment]).join()
  }
  t.match(
    spoilt((one) => Object.assign(one.spec, { replica: 2 })),
    /replica.* does not exist in type 'DeploymentSpec'/,
  )
  t.match(
    spoilt((one) => Object.assign(one.spec, { replicas: 'two' })),
    /not assignable to type 'number'/,
  )
  t.match(
    spoilt((one) => delete (one.spec as { template?: object }).template),
    /'template' is missing/,
  )
})

t.test('the Kubernetes manifests fit together, and the settings', async (t) => {
  const all = manifests(t)
  t.same(all.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`).sort(), [
    'apps/v1 Deployment',
    'autoscaling/v2 HorizontalPodAutoscaler',
    'networking.k8s.io/v1 NetworkPolicy',
    'policy/v1 PodDisruptionBudget',
    'v1 ConfigMap',
    'v1 Service',
  ])
  const of = (kind: string) => all.find((one) => one.kind === kind) as Manifest
  for (const { metadata, kind } of all) t.equal(metadata.name, 'roomcast', kind)
  const deployment = of('Deployment').spec as unknown as {
    replicas?: number
    selector: { matchLabels: object }
    template: {
      metadata: { labels: object; annotations: Record<string, string> }
      spec: {
        terminationGracePeriodSeconds: number
        securityContext: object
        containers: [Container]
      }
    }
  }
  const { template, selector } = deployment
  t.match(template.metadata.labels, selector.matchLabels)
  t.match(of('Service').spec.selector, selector.matchLabels)
  t.same(of('PodDisruptionBudget').spec.selector, selector)
  t.same(of('NetworkPolicy').spec.podSelector, selector)
  t.equal(deployment.replicas, undefined, 'the autoscaler has them')

  const { data } = of('ConfigMap')
  for (const [name, value] of Object.entries(data)) {
    t.ok(names.has(name), `${name} is a setting`)
    t.type(value, 'string')
  }
  t.notOk('JWT_SECRET' in data, 'no secret in a file')
  const config = configFromEnv({ ...data, REDIS_URL: 'redis://127.0.0.1:1', JWT_SECRET: SECRET })
  const pod = template.spec
  const [container] = pod.containers
  const preStopS = Number(container.lifecycle.preStop.exec.command.at(-1))
  t.ok(pod.terminationGracePeriodSeconds > preStopS + config.shutdownGraceMs / 1000 + 1, 'a drain can end')
  t.ok(config.drainMs < config.shutdownGraceMs)
  t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  t.match(container.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true })
  t.same(container.envFrom, [{ configMapRef: { name: 'roomcast' } }, { secretRef: { name: 'roomcast' } }])
  const { startupProbe, livenessProbe, readinessProbe } = container
  t.same(livenessProbe.httpGet, { path: '/health/live', port: 'http' }, 'an outage of Redis kills nobody')
  t.same(startupProbe.httpGet, livenessProbe.httpGet)
  t.same(readinessProbe.httpGet, { path: '/health/ready', port: 'http' })
  const [port] = container.ports
  t.same(port, { name: 'http', containerPort: 8080 })
  t.match(readFileSync('Dockerfile', 'utf8'), `PORT=${port?.containerPort}`)
  t.equal(template.metadata.annotations['prometheus.io/port'], String(port?.containerPort))

  const env = {
    NODE_ENV: 'production',
    REDIS_URL: 'redis://127.0.0.1:1',
    SHUTDOWN_GRACE_MS: '500',
    DRAIN_MS: '0',
  }
  const server = await startServer({ ...data, ...env, MAX_CLIENTS: '10000' })
  t.teardown(() => server.stop())
  t.equal((await fetch(server.url(livenessProbe.httpGet.path))).status, 200)
  t.equal((await fetch(server.url(readinessProbe.httpGet.path))).status, 503, 'not ready without Redis')
})

const UNSHARE = ['--user', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc']
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0
const noPids = canUnshare ? false : 'this machine lets no process have its own namespace of pids'

t.test('as PID 1, what the image starts ends well on SIGTERM', { skip: noPids }, async (t) => {
  const { PATH = '' } = process.env
  const server = startProgram(t, 'unshare', [...UNSHARE, process.execPath, 'dist/src/server.js'], {
    env: { PATH, PORT: '0', HOST: '127.0.0.1', JWT_SECRET: SECRET, NODE_ENV: 'production' },
  })
  await server.prints('"msg":"listening"')
  // The group's signal reaches both; unshare only waits for its child, and ends as that did.
  server.signal('SIGTERM')
  t.equal(await server.exited(), 0)
  t.match(server.stdout, '"msg":"stopped"')
})

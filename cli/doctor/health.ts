import { clockFinding } from '../checks/clock.ts'
import { isLoopback } from '../checks/settings.ts'
import { explain } from '../explanations.ts'
import { type Finding, fail, ok, warn } from '../finding.ts'
import { type Answer, ask } from './http.ts'

/** How often it is asked, so that a balancer shows its nodes. */
const ASKS = 6

interface Health {
  status: string
  node: string
  bridge: { kind: string; state: string; publisher?: { reason?: string }; subscriber?: { reason?: string } }
  cluster?: { nodes: number; foreignNodes?: number }
  descriptors?: { limit: number; refused: number }
}

/** Whether the address leads to roomcast, and what it says of itself. `goOn` is false where nothing else can be tried. */
export async function checkHealth(
  url: string,
  nodes?: number,
): Promise<{ findings: Finding[]; goOn: boolean }> {
  let answer: Answer
  try {
    answer = await ask(`${url}/health`)
  } catch (error) {
    return { findings: [unreachable(url, error as NodeJS.ErrnoException)], goOn: false }
  }
  const found: Finding[] = []
  const { hostname, protocol } = new URL(url)
  if (protocol === 'http:' && !isLoopback(hostname))
    found.push(
      warn(
        'tls',
        'http: tokens go over the network as they stand',
        'have the proxy speak TLS, and use https',
      ),
    )
  const { date } = answer.headers
  if (date !== undefined) found.push(...clockFinding('clock', Date.parse(date) - Date.now()))
  const isOurs = typeof answer.body?.node === 'string' && typeof answer.body.bridge === 'object'
  if (!isOurs)
    return { findings: [...found, notOurs(url, answer)], goOn: answer.status < 500 && !isRedirect(answer) }
  const all = [answer.body as unknown as Health, ...(await others(url))]
  found.push(
    ...stateFindings(all[0] as Health),
    ...clusterFindings(all, nodes),
    ...(await openFindings(url, answer)),
  )
  return { findings: found, goOn: true }
}

async function others(url: string): Promise<Health[]> {
  const answers = await Promise.all(
    Array.from({ length: ASKS - 1 }, () => ask(`${url}/health`).catch(() => undefined)),
  )
  return answers.flatMap((answer) =>
    typeof answer?.body?.node === 'string' ? [answer.body as unknown as Health] : [],
  )
}

function unreachable(url: string, { code = '', message }: NodeJS.ErrnoException): Finding {
  const tls: [word: RegExp, mend: string][] = [
    [/CERT_HAS_EXPIRED/, 'renew the certificate'],
    [/CERT_NOT_YET_VALID/, "the certificate begins later: see this machine's clock"],
    [/ALTNAME|HOSTNAME/, 'use the name that the certificate is for, or have one for this name'],
    [
      /SELF_SIGNED|UNABLE_TO|ISSUER/,
      'serve the whole chain (fullchain.pem) of an authority that browsers know',
    ],
    [/EPROTO|WRONG_VERSION|SSL/, 'what listens there speaks no TLS: use http, or have the proxy speak TLS'],
  ]
  const [, mend] = tls.find(([word]) => word.test(code)) ?? []
  if (mend !== undefined) return fail('tls', `${url}: ${message} (${code})`, mend)
  const mends: Record<string, string> = {
    ECONNREFUSED:
      'start the server or the proxy; see HOST (127.0.0.1 is for this machine only), PORT, and the firewall',
    ENOTFOUND: 'see the name, and its DNS',
    ETIMEDOUT: 'see the firewall, and whether the node is frozen or the proxy waits for it',
    ECONNRESET: 'what listens there hung up: it may want TLS (https), or be no HTTP server',
    EHOSTUNREACH: 'see the network',
  }
  return fail(
    'reach',
    `${url} cannot be reached: ${code || message}`,
    mends[code] ?? 'see the address and the network',
  )
}

const isRedirect = ({ status }: Answer) => status >= 300 && status < 400

function notOurs(url: string, answer: Answer): Finding {
  const { status, headers } = answer
  const by = headers.server === undefined ? '' : ` by ${headers.server}`
  if (isRedirect(answer))
    return fail(
      'reach',
      `${url} sends on to ${headers.location}`,
      'use that address: WebSockets follow no redirect',
    )
  if ([502, 503, 504].includes(status))
    return fail(
      'proxy',
      `the proxy has no node: ${status}${by}`,
      'start the nodes; see the address and port in the proxy (upstream), and HOST on the node',
    )
  return warn(
    'health',
    `/health is ${status}${by} and not roomcast's`,
    'fine if your proxy keeps it; else see the path: roomcast may be below a prefix, or it is another server',
  )
}

function stateFindings({ status, bridge, cluster, descriptors }: Health): Finding[] {
  const found: Finding[] = []
  if (status === 'draining')
    found.push(fail('health', 'the node is shutting down', 'ask again when it is back'))
  if (status === 'degraded') {
    const reason = bridge.publisher?.reason ?? bridge.subscriber?.reason ?? 'down'
    const [known] = explain(reason).filter(({ kind }) => kind === 'reason of Redis')
    const why = known === undefined ? '' : `: ${known.fields['what is wrong']}`
    found.push(
      fail('redis', `the node has no Redis: ${reason}${why}`, 'run `roomcast check` where the node runs'),
    )
  }
  if ((cluster?.foreignNodes ?? 0) > 0)
    found.push(
      fail(
        'versions',
        `${cluster?.foreignNodes} nodes are of a version that does not understand this one`,
        'finish the roll-out, one version at a time',
      ),
    )
  if (descriptors !== undefined)
    found.push(
      fail(
        'descriptors',
        `${descriptors.refused} clients were refused: the limit on open files is ${descriptors.limit}`,
        'raise it (ulimit -n, LimitNOFILE)',
      ),
    )
  return found.length === 0 ? [ok('health', `${status}, bridge ${bridge.kind}`)] : found
}

function clusterFindings(all: Health[], wanted?: number): Finding[] {
  const nodes = new Set(all.map(({ node }) => node))
  const seen = Math.max(nodes.size, ...all.map(({ cluster }) => cluster?.nodes ?? 1))
  const apart = all.filter(({ cluster }) => (cluster?.nodes ?? 1) < nodes.size)
  if (apart.length > 0)
    return [
      fail(
        'cluster',
        `${nodes.size} nodes answer here, and do not know each other: members of a room do not see each other`,
        'give all nodes the same REDIS_URL and REDIS_PREFIX; see whether there are two Redis masters',
      ),
    ]
  if (wanted !== undefined && seen < wanted)
    return [
      fail(
        'cluster',
        `${seen} of ${wanted} nodes are there`,
        'start the others, with the same REDIS_URL and REDIS_PREFIX; see whether there are two Redis masters',
      ),
    ]
  return [ok('cluster', `${seen} node(s)`)]
}

/** What a proxy should keep to itself. */
async function openFindings(url: string, { headers }: Answer): Promise<Finding[]> {
  const isProxied = headers.server !== undefined || headers.via !== undefined
  if (!isProxied) return []
  const metrics = await ask(`${url}/metrics`).catch(() => undefined)
  if (metrics?.status !== 200 || !metrics.text.includes('roomcast_')) return []
  return [
    warn(
      'metrics',
      '/metrics can be read from outside',
      'have the proxy keep it (location = /metrics { return 404; })',
    ),
  ]
}

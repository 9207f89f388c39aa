import { RedisClient, type RedisServer } from '../../src/bridge/redis-client.ts'
import { describeFault } from '../../src/bridge/redis-fault.ts'
import { RedisKeys } from '../../src/bridge/redis-keys.ts'
import { checkScript, scripts } from '../../src/bridge/redis-scripts.ts'
import { type Address, parseRedisUrl, type RedisTarget } from '../../src/bridge/redis-url.ts'
import { tagOfSlot } from '../../src/bridge/slot-tags.ts'
import type { Config } from '../../src/config.ts'
import { explain } from '../explanations.ts'
import { type Finding, fail, ok, warn } from '../finding.ts'
import { clockFinding } from './clock.ts'

const NAME = { name: 'roomcast-check' }

/** A server that takes writes. */
interface Master {
  server: RedisServer
  /** One of the slots that it has of a Cluster. */
  slot?: number
}

/** What is wrong with Redis as roomcast would use it: every command is tried, on a key of its own. */
export async function checkRedis({ redisUrl, redisPrefix }: Config): Promise<Finding[]> {
  if (redisUrl === undefined) return []
  const target = parseRedisUrl(redisUrl)
  const found: Finding[] = []
  const masters = await mastersOf(target, found)
  for (const master of masters) found.push(...(await checkMaster(master, redisPrefix)))
  return found
}

/** Where the masters are, by what Sentinels or the Cluster say. */
async function mastersOf(target: RedisTarget, found: Finding[]): Promise<Master[]> {
  if (target.kind === 'single') return [{ server: target.options }]
  if (target.kind === 'cluster') return clusterMasters(target, found)
  const { sentinels, name, ...login } = target.options
  const named = new Map<string, Address[]>()
  for (const sentinel of sentinels) {
    const reply = await asked(sentinel, ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name])
    if (reply instanceof Error) {
      found.push(
        warn(
          'sentinels',
          `${sentinel.host}:${sentinel.port}: ${describeFault(reply)}`,
          'start it, or take it out of REDIS_URL',
        ),
      )
      continue
    }
    if (reply === null)
      found.push(
        fail(
          'sentinels',
          `${sentinel.host}:${sentinel.port} knows no master of that name`,
          'the name is behind the slash of REDIS_URL',
        ),
      )
    else
      named.set((reply as string[]).join(':'), [
        ...(named.get((reply as string[]).join(':')) ?? []),
        sentinel,
      ])
  }
  if (named.size > 1)
    found.push(
      fail(
        'two masters',
        `the Sentinels do not agree: ${[...named.keys()].join(' and ')}`,
        'let the Sentinels reach each other; SENTINEL RESET makes one forget',
      ),
    )
  if (named.size === 0)
    found.push(
      fail('sentinels', 'none of them knows the master', 'see the addresses and the name in REDIS_URL'),
    )
  return [...named.keys()].map((text) => {
    const at = text.lastIndexOf(':')
    return { server: { host: text.slice(0, at), port: Number(text.slice(at + 1)), ...login } }
  })
}

async function clusterMasters(
  { nodes, options }: Extract<RedisTarget, { kind: 'cluster' }>,
  found: Finding[],
): Promise<Master[]> {
  let last: Error | undefined
  for (const node of nodes) {
    const reply = await asked({ ...node, ...options }, ['CLUSTER', 'SLOTS'])
    if (reply instanceof Error) {
      last = reply
      continue
    }
    const slots = reply as [number, number, [string, number]][]
    const covered = slots.reduce((sum, [from, to]) => sum + to - from + 1, 0)
    if (covered < 16_384)
      found.push(
        fail(
          'redis slots',
          `${16_384 - covered} of the Cluster's slots have no master`,
          'bring the missing master back, or let its replica take over',
        ),
      )
    const masters = new Map(
      slots.map(([slot, , [host, port]]) => {
        const server = { host: host || node.host, port, ...options }
        return [`${host}:${port}`, { server, slot }]
      }),
    )
    return [...masters.values()]
  }
  if (last !== undefined) found.push(faultOf(last))
  return []
}

/** What a server answers, or why it does not. */
async function asked(server: RedisServer, [command = '', ...args]: string[]): Promise<unknown> {
  const client = new RedisClient(server, NAME)
  try {
    await client.connect()
    return await client.call(command, ...args)
  } catch (error) {
    return error as Error
  } finally {
    client.disconnect()
  }
}

async function checkMaster({ server, slot }: Master, prefix: string): Promise<Finding[]> {
  const isSharded = slot !== undefined
  const client = new RedisClient(server, { ...NAME, isSharded })
  try {
    await client.connect()
    const info = String(await client.call('INFO'))
    const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
    if (field('cluster_enabled') === '1' && !isSharded)
      throw new Error('it is of a Cluster and the URL does not say so')
    if (field('role') === 'slave') throw new Error('READONLY it is a replica')
    const beforeMs = Date.now()
    const [seconds, micros] = (await client.call('TIME')) as [string, string]
    const found = clockFinding(
      'redis clock',
      Number(seconds) * 1000 + Number(micros) / 1000 - (beforeMs + Date.now()) / 2,
    )
    await tryCommands(client, prefix, isSharded ? tagOfSlot(slot) : 'roomcast-check')
    return [...found, ...memoryFindings(field), ...passwordFindings(server)]
  } catch (error) {
    return [faultOf(error as Error)]
  } finally {
    client.disconnect()
  }
}

/** `tag` is a text whose slot the server has. */
async function tryCommands(client: RedisClient, prefix: string, tag: string): Promise<void> {
  const keys = new RedisKeys(prefix)
  await client.load(scripts)
  await client.run(checkScript, [keys.check(tag)], [])
  const channel = keys.channel(tag)
  const [refused] = await client.subscribe([channel])
  if (refused !== undefined) throw refused
  await client.unsubscribe([channel])
}

function faultOf(error: Error): Finding {
  const reason = describeFault(error)
  const [known] = explain(reason).filter(({ kind }) => kind === 'reason of Redis')
  const why = known?.fields['what is wrong']
  return fail(
    'redis',
    why === undefined ? reason : `${reason}: ${why}`,
    mends.find(([word]) => word.test(reason))?.[1] ?? 'docs/OPERATIONS.md, Redis',
  )
}

const mends: [word: RegExp, mend: string][] = [
  [/^(NOAUTH|WRONGPASS)/, 'put user and password into REDIS_URL: redis://user:password@host:port'],
  [/^NOPERM/, 'give the user the commands, keys and channels of docs/OPERATIONS.md, Permissions'],
  [/^unknown command/, 'take rename-command of it out of the configuration of Redis'],
  [
    /^E(CONN|AI|NOTF|TIME|HOST)|connection closed/,
    'see host and port in REDIS_URL, whether Redis runs, and the network between',
  ],
  [/^READONLY|MASTERDOWN/, 'name the master, or the Sentinels: redis+sentinel://…'],
  [/Cluster/, 'write redis+cluster:// in REDIS_URL'],
  [/^OOM/, 'raise maxmemory, and set maxmemory-policy volatile-lru'],
  [/^MISCONF/, 'make room on its disk, or set stop-writes-on-bgsave-error no'],
  [/^NOREPLICAS/, 'bring the replicas back, or lower min-replicas-to-write'],
  [/speak/, 'something else listens at that port: see REDIS_URL'],
]

function memoryFindings(field: (name: string) => string): Finding[] {
  const [limit, used, policy] = [
    Number(field('maxmemory')),
    Number(field('used_memory')),
    field('maxmemory_policy'),
  ]
  const set = 'set maxmemory, and maxmemory-policy volatile-lru (docs/OPERATIONS.md, Setting it up)'
  const clients = Number(field('connected_clients')) / Number(field('maxclients') || Number.POSITIVE_INFINITY)
  const found: Finding[] = []
  if (limit === 0)
    found.push(warn('redis memory', 'maxmemory is not set: Redis may take all of the machine', set))
  else if (policy === 'noeviction')
    found.push(
      fail(
        'redis memory',
        'maxmemory-policy is noeviction: when it is full, Redis takes nothing more, and all nodes are degraded',
        set,
      ),
    )
  else if (!/-l[rf]u$/.test(policy))
    found.push(
      warn(
        'redis memory',
        `maxmemory-policy ${policy} evicts rooms that are in use, with their positions: clients are told recovered: false`,
        set,
      ),
    )
  if (limit > 0 && used > 0.9 * limit)
    found.push(
      warn('redis memory', `${Math.round((100 * used) / limit)} % of maxmemory are used`, 'raise maxmemory'),
    )
  if (clients > 0.9)
    found.push(warn('redis clients', 'nearly all of maxclients are connected', 'raise maxclients'))
  return found.length === 0 ? [ok('redis', `it takes all commands, and evicts by ${policy}`)] : found
}

function passwordFindings({ host, password, tls }: RedisServer): Finding[] {
  if (/^(localhost|127\.|::1)/.test(host)) return []
  if (password === undefined)
    return [
      warn(
        'redis',
        'it asks for no password, and is not on this machine',
        'set a user with a password (docs/OPERATIONS.md, Permissions)',
      ),
    ]
  return tls === undefined && !/^(10\.|192\.168\.|172\.)|\.internal$|^[^.]+$/.test(host)
    ? [warn('redis', 'its password goes over the network as it stands', 'use rediss://')]
    : []
}

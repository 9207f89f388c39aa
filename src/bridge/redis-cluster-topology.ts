import { z } from 'zod'
import type { RedisClient } from './redis-client.ts'
import { nameOf, RedisInquiry } from './redis-inquiry.ts'
import { type Master, type RedisTopology, SLOTS, type SlotRange } from './redis-topology.ts'
import type { Address, RedisTarget } from './redis-url.ts'

/** So many servers are asked in a round: any of them knows the Cluster, but not all know of a change at once. */
const ASKED = 8

/** A server as CLUSTER SLOTS has it: its host (null: that of the one that was asked), port, id, and other names of it. */
const server = z
  .tuple([z.string().nullable(), z.int(), z.string(), z.array(z.string()).optional()])
  .rest(z.unknown())
const slots = z.array(z.tuple([z.int(), z.int(), server]).rest(server))

interface Claim extends SlotRange {
  master: Address
  /** Grows with each change of a slot's owner; the latest is right. */
  epoch: number
}
/** The Cluster as one server sees it. */
interface View {
  claims: Claim[]
  servers: Address[]
}

/**
 * The masters of a Cluster. Several servers are asked, a few times a second, because after a failover some hear of it late;
 * for each slot the claim with the latest configuration epoch counts.
 */
export class ClusterTopology implements RedisTopology {
  fault: Error | undefined
  readonly #seeds: readonly Address[]
  readonly #login: Extract<RedisTarget, { kind: 'cluster' }>['options']
  readonly #inquiry: RedisInquiry<View>
  #known: Address[] = []
  #onMasters: (masters: readonly Master[]) => void = () => {}

  constructor({ nodes, options }: Extract<RedisTarget, { kind: 'cluster' }>) {
    this.#seeds = nodes
    this.#login = options
    this.#inquiry = new RedisInquiry<View>({
      login: options,
      servers: () => this.#toAsk(),
      ask: viewOf,
      onRound: (views, fault) => this.#merge([...views.values()], fault),
    })
  }

  start(onMasters: (masters: readonly Master[]) => void): void {
    this.#onMasters = onMasters
    void this.#inquiry.refresh()
  }

  refresh(): Promise<void> {
    return this.#inquiry.refresh()
  }

  close(): void {
    this.#inquiry.close()
  }

  /** The same ones as long as the Cluster has the same servers; those of REDIS_URL come in while too few are known. */
  #toAsk(): Address[] {
    const all = new Map([...this.#known, ...this.#seeds].map((address) => [nameOf(address), address]))
    return [...all.values()].slice(0, ASKED)
  }

  #merge(views: readonly View[], fault: Error | undefined): void {
    const owners: (Claim | undefined)[] = new Array(SLOTS)
    const servers = new Map<string, Address>()
    for (const view of views) {
      for (const address of view.servers) servers.set(nameOf(address), address)
      for (const claim of view.claims)
        for (let slot = claim.first; slot <= claim.last; slot++)
          if ((owners[slot]?.epoch ?? -1) < claim.epoch) owners[slot] = claim
    }
    const masters = mastersOf(owners)
    if (masters.length === 0) {
      this.fault = fault ?? new Error('no master has slots')
      // All may have got other addresses, as in a new set of containers: those of REDIS_URL are asked again.
      this.#known = []
      return
    }
    // Masters first: they hear of changes first.
    const first = masters.map(({ server }) => server)
    this.#known = [...first, ...servers.values()]
    this.#onMasters(masters.map(({ server, slots }) => ({ server: { ...this.#login, ...server }, slots })))
  }
}

async function viewOf(client: RedisClient, asked: Address): Promise<View> {
  const [reply, nodes] = await Promise.all([
    client.call('CLUSTER', 'SLOTS'),
    // Without the permission for it all claims count alike.
    client.call('CLUSTER', 'NODES').catch(() => ''),
  ])
  const epochs = epochsById(String(nodes))
  const addressOf = ([host, port, , names]: z.infer<typeof server>): Address => {
    const known = host === '?' ? ipOf(names) : host
    return { host: known || asked.host, port }
  }
  const claims: Claim[] = []
  const servers: Address[] = []
  for (const [first, last, master, ...replicas] of slots.parse(reply)) {
    claims.push({ first, last, master: addressOf(master), epoch: epochs.get(master[2]) ?? 0 })
    for (const one of [master, ...replicas]) servers.push(addressOf(one))
  }
  return { claims, servers }
}

/** The configuration epochs of CLUSTER NODES: `<id> <address> <flags> <master> <ping> <pong> <epoch> …`, a line a server. */
function epochsById(text: string): Map<string, number> {
  const words = text.split('\n').map((line) => line.split(' '))
  return new Map(words.map(([id = '', , , , , , epoch]) => [id, Number(epoch ?? 0)]))
}

/** A server that is to be called by its host name, and has none, announces '?'. */
function ipOf(names: readonly string[] = []): string | undefined {
  return names.find((_, index) => names[index - 1] === 'ip')
}

function mastersOf(owners: readonly (Claim | undefined)[]): { server: Address; slots: SlotRange[] }[] {
  const masters = new Map<string, { server: Address; slots: SlotRange[] }>()
  let last: { name: string; range: SlotRange } | undefined
  for (let slot = 0; slot < SLOTS; slot++) {
    const claim = owners[slot]
    if (claim === undefined) {
      last = undefined
      continue
    }
    const name = nameOf(claim.master)
    if (last?.name === name) {
      last.range.last = slot
      continue
    }
    const range = { first: slot, last: slot }
    last = { name, range }
    const master = masters.get(name)
    if (master === undefined) masters.set(name, { server: claim.master, slots: [range] })
    else master.slots.push(range)
  }
  return [...masters.values()]
}

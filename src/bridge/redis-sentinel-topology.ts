import { RedisInquiry } from './redis-inquiry.ts'
import { ALL_SLOTS, type Master, type RedisTopology } from './redis-topology.ts'
import type { Address, RedisTarget } from './redis-url.ts'

interface Answer {
  /** Grows with each failover. */
  epoch: number
  master: Address
}

/** The master that Sentinels name. All are asked, twice a second, and the one who knows of the latest failover is right. */
export class SentinelTopology implements RedisTopology {
  fault: Error | undefined
  readonly #inquiry: RedisInquiry<Answer>
  #onMasters: (masters: readonly Master[]) => void = () => {}

  constructor({ options }: Extract<RedisTarget, { kind: 'sentinel' }>) {
    const { sentinels, name, ...login } = options
    this.#inquiry = new RedisInquiry<Answer>({
      login: {},
      servers: () => sentinels,
      ask: async (client) => {
        const [fields, address] = await Promise.all([
          client.call('SENTINEL', 'MASTER', name),
          // Ahead of the fields while a failover is under way.
          client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name),
        ])
        const [host, port] = (address as [string, string] | null) ?? []
        if (host === undefined) throw new Error('no sentinel knows the master')
        return { epoch: configEpoch(fields as string[]), master: { host, port: Number(port) } }
      },
      onRound: (answers) => {
        let latest: Answer | undefined
        for (const answer of answers.values())
          if (latest === undefined || answer.epoch > latest.epoch) latest = answer
        if (latest === undefined) {
          this.fault = new Error('no sentinel knows the master')
          return
        }
        this.#onMasters([{ server: { ...login, ...latest.master }, slots: ALL_SLOTS }])
      },
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
}

/** Of the fields and values, one after the other, that describe a master. */
function configEpoch(fields: readonly string[]): number {
  return Number(fields[fields.indexOf('config-epoch') + 1] ?? 0)
}

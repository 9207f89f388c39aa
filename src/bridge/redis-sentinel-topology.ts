import { RedisInquiry } from './redis-inquiry.ts'
import { ALL_SLOTS, type Master, type RedisTopology } from './redis-topology.ts'
import type { Address, Login, RedisTarget } from './redis-url.ts'

interface Answer {
  /** Grows with each failover. */
  epoch: number
  master: Address
  isFailingOver: boolean
}

/** A planned failover takes a second or three. One that hangs must not keep nodes from their master for longer than this. */
const LEAVING_MAX_MS = 10_000

/** The master that Sentinels name. All are asked, a few times a second, and the one who knows of the latest failover is right. */
export class SentinelTopology implements RedisTopology {
  fault: Error | undefined
  readonly #inquiry: RedisInquiry<Answer>
  readonly #login: Login
  #leavingSinceMs: number | undefined
  #onMasters: (masters: readonly Master[]) => void = () => {}

  constructor({ options }: Extract<RedisTarget, { kind: 'sentinel' }>) {
    const { sentinels, name, ...login } = options
    this.#login = login
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
        const field = (name: string) => (fields as string[])[(fields as string[]).indexOf(name) + 1] ?? ''
        return {
          epoch: Number(field('config-epoch')),
          master: { host, port: Number(port) },
          isFailingOver: field('flags').includes('failover_in_progress'),
        }
      },
      onRound: (answers) => this.#decide([...answers.values()]),
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

  #decide(answers: readonly Answer[]): void {
    let latest: Answer | undefined
    for (const answer of answers) if (latest === undefined || answer.epoch > latest.epoch) latest = answer
    if (latest === undefined) {
      this.fault = new Error('no sentinel knows the master')
      return
    }
    const { master, epoch } = latest
    const isFailingOver = answers.some((answer) => answer.isFailingOver && answer.epoch === epoch)
    if (!isFailingOver) this.#leavingSinceMs = undefined
    else this.#leavingSinceMs ??= performance.now()
    const isLeaving =
      this.#leavingSinceMs !== undefined && performance.now() - this.#leavingSinceMs < LEAVING_MAX_MS
    this.#onMasters([{ server: { ...this.#login, ...master }, slots: ALL_SLOTS, isLeaving }])
    if (isLeaving) void this.#inquiry.refresh()
  }
}

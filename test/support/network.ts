// A network namespace for one server, with a link that can be cut silently: no FIN, no RST, no ICMP.
// The server runs inside; the clients stay in the test's own process, outside.
import { execFileSync } from 'node:child_process'

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** One veth pair: `outside` is the clients' end, `host` the server's address behind it. */
interface Link {
  outside: string
  host: string
}

export class Network {
  readonly #name = `rc${process.pid}`
  readonly #links: Link[] = []
  readonly #onExit = () => this.close()
  /** In front of the server's command. `ip netns exec` execs, so the pid stays the server's. */
  readonly prefix = ['ip', 'netns', 'exec', this.#name]
  /** The server's address that stays reachable. */
  readonly steady: string
  /** The server's address whose link `cut` takes away. */
  readonly cuttable: string

  /** Undefined where the machine does not allow it: no root, or no iproute2. */
  static open(): Network | undefined {
    try {
      return new Network()
    } catch {
      return undefined
    }
  }

  static isAllowed(): boolean {
    const network = Network.open()
    network?.close()
    return network !== undefined
  }

  constructor() {
    run('ip', 'netns', 'add', this.#name)
    process.once('exit', this.#onExit)
    try {
      run('ip', '-n', this.#name, 'link', 'set', 'lo', 'up')
      this.steady = this.#addLink(0)
      this.cuttable = this.#addLink(1)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #addLink(index: number): string {
    const outside = `${this.#name}o${index}`
    const inside = `${this.#name}i${index}`
    // 198.18.0.0/15 is set aside for tests; each link gets a /30 that depends on the pid.
    const base = ((process.pid * 2 + index) % 32_768) * 4
    const address = (host: number) => `198.${18 + (base >> 16)}.${(base >> 8) & 255}.${(base & 255) + host}`
    run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', this.#name)
    this.#links.push({ outside, host: address(2) })
    run('ip', 'addr', 'add', `${address(1)}/30`, 'dev', outside)
    run('ip', '-n', this.#name, 'addr', 'add', `${address(2)}/30`, 'dev', inside)
    run('ip', 'link', 'set', outside, 'up')
    run('ip', '-n', this.#name, 'link', 'set', inside, 'up')
    return address(2)
  }

  /** The clients' end of the cuttable link goes away, as a phone does that sleeps. */
  cut(): void {
    run('ip', 'link', 'set', `${this.#name}o1`, 'down')
  }

  heal(): void {
    run('ip', 'link', 'set', `${this.#name}o1`, 'up')
  }

  /** Slows the cuttable link down in both directions, as a bad mobile link is; `rate` is tc's, e.g. `2mbit`. */
  throttle(rate: string): void {
    const shape = ['root', 'tbf', 'rate', rate, 'burst', '4kb', 'latency', '50ms']
    run('tc', 'qdisc', 'add', 'dev', `${this.#name}o1`, ...shape)
    run('ip', 'netns', 'exec', this.#name, 'tc', 'qdisc', 'add', 'dev', `${this.#name}i1`, ...shape)
  }

  close(): void {
    process.removeListener('exit', this.#onExit)
    const steps = [
      ...this.#links.map(({ outside }) => ['link', 'del', outside]),
      ['netns', 'del', this.#name],
    ]
    for (const step of steps) {
      try {
        run('ip', ...step)
      } catch {
        // Gone already.
      }
    }
  }
}

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/** So many are carried out a turn of the event loop: 0.3 ms each, 0.8 ms in a process that has just begun. */
const UPGRADES_A_TURN = 8
/**
 * No more than this wait, about 40 MB and 2 s; what is beyond is carried out at once, so that a flood of upgrades
 * stays in the kernel's backlog, not in memory.
 */
const MAX_WAITING = 4096

/** The listener of a server's 'upgrade' event. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

interface Upgrade {
  request: IncomingMessage
  socket: Duplex
  head: Buffer
}

/**
 * Upgrades that wait to be carried out, a few in each turn of the event loop. After a restart thousands come in one
 * turn; done at once, they would hold up everybody else, health checks first, for as long as they take together.
 */
export class UpgradeQueue {
  readonly #carryOut: UpgradeListener
  readonly #onFailed: (error: Error) => void
  #waiting: Upgrade[] = []
  #isScheduled = false

  /**
   * `carryOut` is called once for each upgrade, in their order; it takes over the socket with its errors. When it throws,
   * the socket is destroyed and `onFailed` called.
   */
  constructor(carryOut: UpgradeListener, onFailed: (error: Error) => void) {
    this.#carryOut = carryOut
    this.#onFailed = onFailed
  }

  readonly add: UpgradeListener = (request, socket, head) => {
    // Node has taken its own listener away; without one, a reset meanwhile would end the process.
    socket.on('error', destroy)
    this.#waiting.push({ request, socket, head })
    this.#schedule()
  }

  /** Gives up what waits, and returns its sockets; each has a listener for errors. */
  clear(): Duplex[] {
    const sockets = this.#waiting.map(({ socket }) => socket)
    this.#waiting = []
    return sockets
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    const count = Math.max(UPGRADES_A_TURN, this.#waiting.length - MAX_WAITING)
    for (const { request, socket, head } of this.#waiting.splice(0, count)) {
      socket.off('error', destroy)
      if (socket.destroyed) continue
      try {
        this.#carryOut(request, socket, head)
      } catch (error) {
        // One peer's upgrade: it must cost the others nothing.
        this.#onFailed(error as Error)
        socket.destroy()
      }
    }
    if (this.#waiting.length > 0) this.#schedule()
  }
}

/** A listener that ends its socket. */
export function destroy(this: Duplex): void {
  this.destroy()
}

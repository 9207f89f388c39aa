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
  #waiting: Upgrade[] = []
  #done = 0
  #isScheduled = false

  /** `carryOut` is called once for each upgrade, in their order; it takes over the socket with its errors. */
  constructor(carryOut: UpgradeListener) {
    this.#carryOut = carryOut
  }

  readonly add: UpgradeListener = (request, socket, head) => {
    // Node has taken its own listener away; without one, a reset meanwhile would end the process.
    socket.on('error', destroy)
    this.#waiting.push({ request, socket, head })
    this.#schedule()
  }

  /** Gives up what waits, and returns its sockets; each has a listener for errors. */
  clear(): Duplex[] {
    const sockets = this.#waiting.slice(this.#done).map(({ socket }) => socket)
    this.#waiting = []
    this.#done = 0
    return sockets
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    const end = Math.max(this.#done + UPGRADES_A_TURN, this.#waiting.length - MAX_WAITING)
    for (const { request, socket, head } of this.#waiting.slice(this.#done, end)) {
      socket.off('error', destroy)
      if (!socket.destroyed) this.#carryOut(request, socket, head)
    }
    this.#done = end
    if (end < this.#waiting.length) {
      this.#schedule()
      // Else what is done stays in memory until all is; a copy at each turn would be dear.
      if (this.#done < MAX_WAITING) return
    }
    this.#waiting = this.#waiting.slice(this.#done)
    this.#done = 0
  }
}

function destroy(this: Duplex): void {
  this.destroy()
}

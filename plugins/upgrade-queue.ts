import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { TurnQueue } from '../src/turn-queue.ts'

/**
 * 0.3 ms each, 0.8 ms in a process that has just begun. Those that wait take about 40 MB and 2 s; a flood beyond them
 * stays in the kernel's backlog, not in memory.
 */
const LIMITS = { perTurn: 8, maxWaiting: 4096 }

/** The listener of a server's 'upgrade' event. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

interface Upgrade {
  request: IncomingMessage
  socket: Duplex
  head: Buffer
}

/** Upgrades that wait to be carried out, a few in each turn of the event loop. */
export class UpgradeQueue {
  readonly #carryOut: UpgradeListener
  readonly #onFailed: (error: Error) => void
  readonly #queue = new TurnQueue<Upgrade>((upgrade) => this.#run(upgrade), LIMITS)

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
    this.#queue.add({ request, socket, head })
  }

  /** Gives up what waits, and returns its sockets; each has a listener for errors. */
  clear(): Duplex[] {
    return this.#queue.clear().map(({ socket }) => socket)
  }

  #run({ request, socket, head }: Upgrade): void {
    socket.off('error', destroy)
    if (socket.destroyed) return
    try {
      this.#carryOut(request, socket, head)
    } catch (error) {
      // One peer's upgrade: it must cost the others nothing.
      this.#onFailed(error as Error)
      socket.destroy()
    }
  }
}

/** A listener that ends its socket. */
export function destroy(this: Duplex): void {
  this.destroy()
}

import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'

/** Says whether other libraries listen for the upgrades of a server too, and warns of the first, whenever it comes. */
export class OtherListeners {
  readonly #server: Server
  readonly #log: FastifyInstance['log']
  #isWarnedOf = false

  /** To be made when the roomcast's own listener is the server's last. */
  constructor({ server, log }: FastifyInstance) {
    this.#server = server
    this.#log = log
    if (this.areThere) this.#warn('upgrade')
    server.on('newListener', this.#warn)
  }

  /** Beside the roomcast's own. */
  get areThere(): boolean {
    return this.#server.listenerCount('upgrade') > 1
  }

  stop(): void {
    this.#server.off('newListener', this.#warn)
  }

  readonly #warn = (event: string | symbol): void => {
    if (event !== 'upgrade' || this.#isWarnedOf) return
    this.#isWarnedOf = true
    this.#log.warn(
      'upgrades of this server have another listener: what it answers, and paths without a WebSocket route, are left to it',
    )
  }
}

/** Whether somebody reads from an upgrade's socket, or has ended it. Node has taken its own listeners away. */
export function isTaken(socket: Duplex): boolean {
  return !socket.writable || socket.listenerCount('data') > 0 || socket.listenerCount('readable') > 0
}

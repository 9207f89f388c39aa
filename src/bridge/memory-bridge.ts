import { messageText } from '../protocol/codec.ts'
import type { Bridge, BridgeStatus, Delivery, Publication, Published } from './bridge.ts'

/** The bridge of a single node: what is published is delivered at once, in the same turn. */
export class MemoryBridge implements Bridge {
  #deliver: (delivery: Delivery) => void = () => {}

  start(deliver: (delivery: Delivery) => void): void {
    this.#deliver = deliver
  }

  async publish({ room, head, exclude }: Publication): Promise<Published> {
    this.#deliver({ room, text: messageText(head, undefined), exclude })
    return { scope: 'cluster' }
  }

  async subscribe(): Promise<void> {}

  unsubscribe(): void {}

  status(): BridgeStatus {
    return { kind: 'memory', state: 'up' }
  }

  async close(): Promise<void> {}
}

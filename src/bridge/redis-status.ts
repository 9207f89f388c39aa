import type { BridgeStatus, LinkStatus } from './bridge.ts'
import { describeFault } from './redis-fault.ts'

/** What is said of one master. */
interface Shard {
  status: { publisher: LinkStatus; subscriber: LinkStatus }
  place: { slots: string | undefined }
}

/** What `/health` says of the masters together; `fault` is why none is known. */
export function statusOf(
  shards: readonly Shard[],
  { isUp, isCluster, fault }: { isUp: boolean; isCluster: boolean; fault: Error | undefined },
): BridgeStatus {
  if (shards.length === 0) {
    const reason = fault === undefined ? 'connecting' : describeFault(fault)
    const down = { state: 'down', reason } as const
    return { kind: 'redis', state: 'down', publisher: down, subscriber: down }
  }
  const masters = shards.map(({ status, place }) => ({ slots: place.slots ?? '', ...status }))
  return {
    kind: 'redis',
    state: isUp ? 'up' : 'down',
    publisher: worst(masters.map(({ publisher }) => publisher)),
    subscriber: worst(masters.map(({ subscriber }) => subscriber)),
    ...(isCluster && { masters }),
  }
}

function worst(links: readonly LinkStatus[]): LinkStatus {
  return links.find(({ state }) => state === 'down') ?? { state: 'up' }
}

import type { BridgeFigures } from '../bridge/bridge.ts'
import { counter, inSeconds, type Reading } from './readings.ts'

/** What a bridge to other nodes has to show. */
export function bridgeReadings({ lag, delivery, stalls }: BridgeFigures): Reading[] {
  return [
    inSeconds('bridge_lag_seconds', 'From a heartbeat to Redis until it is heard back, of every master', [
      lag,
    ]),
    inSeconds('publish_delivery_seconds', 'From handing a publish to Redis until members here get it', [
      delivery,
    ]),
    counter('bridge_stalls_total', 'Times that a master of Redis did not answer', stalls),
  ]
}

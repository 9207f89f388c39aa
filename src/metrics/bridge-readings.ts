import type { BridgeFigures } from '../bridge/bridge.ts'
import { counter, inSeconds, type Reading } from './readings.ts'

/** What a bridge to other nodes has to show. */
export function bridgeReadings({ lag, stalls }: BridgeFigures): Reading[] {
  return [
    inSeconds('bridge_lag_seconds', 'From a heartbeat to Redis until it is heard back, of every master', [
      lag,
    ]),
    counter('bridge_stalls_total', 'Times that a master of Redis did not answer', stalls),
  ]
}

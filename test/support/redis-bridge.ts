import { RedisBridge, type RedisBridgeOptions } from '../../src/bridge/redis-bridge.ts'
import { parseRedisUrl } from '../../src/bridge/redis-url.ts'
import { systemClock } from '../../src/clock.ts'

const silentLog = { debug() {}, info() {}, warn() {}, error() {} }

/** A bridge as a node would make it. */
export function redisBridge(url: string, more: Partial<RedisBridgeOptions> = {}): RedisBridge {
  return new RedisBridge({
    target: parseRedisUrl(url),
    prefix: 'test:',
    timeoutMs: 2000,
    maxMessageBytes: 524_288,
    clock: systemClock,
    log: silentLog,
    ...more,
  })
}

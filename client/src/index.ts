import { HubClient } from './hub-client.ts'
import { platform } from './platform.ts'
import type { Calls, Hub, HubOptions, Rooms } from './types.ts'

/**
 * Connects, and comes back by itself until `close`. `url` is the server's, with its prefix where it has one: `/`,
 * `https://example.org`, `wss://example.org/realtime/ws`. Throws TypeError for what is no URL.
 */
export function connect<All extends Rooms = Rooms, Methods extends Calls = Calls>(
  url: string | URL,
  options: HubOptions,
): Hub<All, Methods> {
  const base = new URL(url, globalThis.location?.href)
  base.protocol = base.protocol.replace('ws', 'http')
  base.search = base.hash = ''
  base.pathname = `${base.pathname.replace(/\/(ws)?$/, '')}/`
  return new HubClient(base, options, platform()) as unknown as Hub<All, Methods>
}

export { type Code, RoomcastError } from './errors.ts'
export type * from './types.ts'

import { connect as connectAlone } from './index.ts'
import { TabGroup } from './tab-group.ts'
import type { TabSocket } from './tab-socket.ts'
import type { Calls, Hub, HubOptions, Rooms } from './types.ts'

/**
 * As `connect` of `roomcast-client`, with one socket for all tabs of a browser that have the same user. Where there are
 * no Web Locks, or they may not be used, or a token does not say whose it is, a tab has a socket of its own.
 */
export function connect<All extends Rooms = Rooms, Methods extends Calls = Calls>(
  url: string | URL,
  options: HubOptions,
): Hub<All, Methods> {
  // Whatever has locks has a BroadcastChannel too.
  const locks = (globalThis as Partial<typeof globalThis>).navigator?.locks
  if (!locks) return connectAlone<All, Methods>(url, options)
  const Alone = options.WebSocket ?? WebSocket
  let group: TabGroup | undefined
  let last: TabSocket | undefined
  const open = (to: string) => {
    const name = nameOf(to)
    if (group?.name !== name) {
      group?.end()
      group = name === undefined ? undefined : new TabGroup(name, locks, Alone)
    }
    if (group === undefined || group.isForbidden) return new Alone(to)
    last = group.open(to, last?.shared ?? '')
    return last
  }
  const hub = connectAlone<All, Methods>(url, {
    ...options,
    // What a constructor returns is what `new` gives.
    WebSocket: class {
      constructor(to: string) {
        // biome-ignore lint/correctness/noConstructorReturn: a socket of the group, or of its own.
        return open(to)
      }
    } as unknown as NonNullable<HubOptions['WebSocket']>,
  })
  hub.on('state', ({ name }) => {
    if (name === 'closed') group?.end()
  })
  return hub
}

/** The tabs of one user at one server: what a token says of its user decides, as the server would. */
function nameOf(url: string): string | undefined {
  const { host, pathname, searchParams } = new URL(url)
  try {
    const [, claims = ''] = (searchParams.get('token') ?? '').split('.')
    // Its bytes will do: the name is for nobody to read.
    const { sub, iss } = JSON.parse(atob(claims.replace(/-/g, '+').replace(/_/g, '/')))
    return typeof sub === 'string' ? `roomcast ${host}${pathname} ${iss} ${sub}` : undefined
  } catch {
    return undefined
  }
}

export { type Code, RoomcastError } from './errors.ts'
export type * from './types.ts'

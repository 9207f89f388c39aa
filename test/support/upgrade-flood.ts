// Case B47: refused upgrades of every kind, by peers that close and by peers that do not.
import { inBatches } from './crowd.ts'
import { RawSocket, type Response, upgradeRequest } from './raw-socket.ts'
import type { Env, Server } from './server.ts'
import { tokenFor } from './token.ts'

const OVER_LIMIT_ADDRESS = '127.9.9.9'
const ORIGIN = 'https://good.example'

/** `addressMax` upgrades of one address before the limit; each kind comes from an address of its own. */
export const floodEnv = (addressMax: number): Env => ({
  CONNECT_RATE_MAX: String(addressMax),
  CONNECT_RATE_WINDOW_MS: '3600000',
  ALLOWED_ORIGINS: ORIGIN,
  HANDSHAKE_TIMEOUT_MS: '1000',
})

export interface RefusedKind {
  bytes: () => string
  statuses: number[]
  from?: string
}

const good = () => `/ws?token=${tokenFor('a')}`

export const refusedKinds: { [name: string]: RefusedKind } = {
  'a bad token': { bytes: () => upgradeRequest('/ws?token=bad'), statuses: [401] },
  'no token': { bytes: () => upgradeRequest('/ws'), statuses: [401] },
  '/w%zz': { bytes: () => upgradeRequest('/w%zz'), statuses: [400, 404] },
  '/ws%': { bytes: () => upgradeRequest(`/ws%?token=${tokenFor('a')}`), statuses: [400, 404] },
  'an unknown path': { bytes: () => upgradeRequest('/nothing'), statuses: [404] },
  'a plain route': { bytes: () => upgradeRequest('/health'), statuses: [404] },
  'an over-long path': { bytes: () => upgradeRequest(`/ws/${'x'.repeat(8_000)}`), statuses: [404, 414] },
  'no key': {
    bytes: () => upgradeRequest(good(), { replace: { 'sec-websocket-key': null } }),
    statuses: [400],
  },
  'version 8': {
    bytes: () => upgradeRequest(good(), { replace: { 'sec-websocket-version': '8' } }),
    statuses: [426],
  },
  'another origin': {
    bytes: () => upgradeRequest(good(), { lines: ['Origin: https://evil.example'] }),
    statuses: [403],
  },
  POST: { bytes: () => upgradeRequest(good(), { method: 'POST' }), statuses: [404, 405] },
  'HTTP/1.0': { bytes: () => upgradeRequest(good(), { version: 'HTTP/1.0' }), statuses: [400] },
  'no upgrade at all': {
    bytes: () => `GET ${good()} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [426],
  },
  'over the connection limit': {
    bytes: () => upgradeRequest(good()),
    statuses: [429],
    from: OVER_LIMIT_ADDRESS,
  },
}

/** From now on one address is over the limit. */
export async function useUpLimit(server: Server, addressMax: number): Promise<void> {
  await inBatches(addressMax, async () => {
    const socket = await RawSocket.upgrade(server, '/ws', { tcp: { localAddress: OVER_LIMIT_ADDRESS } })
    socket.destroy()
  })
}

let lastAddress = 0

/** Sends so many of one kind; resolves with the sockets, which stay open at this end. */
export function flood(
  server: Server,
  count: number,
  { bytes, statuses, from }: RefusedKind,
  then: (socket: RawSocket, answer: Response) => void = () => {},
): Promise<RawSocket[]> {
  lastAddress = (lastAddress % 250) + 1
  const localAddress = from ?? `127.4.0.${lastAddress}`
  return inBatches(count, async () => {
    const socket = await RawSocket.open(server, { tcp: { localAddress } })
    socket.write(bytes())
    const answer = await socket.answer(10_000)
    if (!statuses.includes(answer.status)) throw new Error(`${answer.status}: ${answer.body}`)
    then(socket, answer)
    return socket
  })
}

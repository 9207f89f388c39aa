// More sockets at once than a server has descriptors for.
import { type Address, RawSocket, upgradeRequest } from './raw-socket.ts'
import { tokenFor } from './token.ts'

export interface Flood {
  sockets: RawSocket[]
  /** How many were answered so; 0 counts those that were cut without an answer. */
  count: (status: number) => number
  end: () => Promise<void>
}

/** That many sockets ask for an upgrade at the same time; resolves when each has its answer, or was cut. */
export async function flood(address: Address, count: number): Promise<Flood> {
  const request = upgradeRequest(`/ws?token=${tokenFor('flood')}`)
  const sockets = Array.from({ length: count }, () => {
    const socket = new RawSocket(address, { record: false })
    socket.write(request)
    return socket
  })
  for (const socket of sockets)
    await socket.until('an answer or the end', () => socket.response ?? socket.end, 30_000)
  return {
    sockets,
    count: (status) => sockets.filter(({ response }) => (response?.status ?? 0) === status).length,
    end: async () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}

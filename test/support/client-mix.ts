// Case B54: connections that begin and end in every way there is, and the count that must follow them.
import type { Test } from 'tap'
import { type Client, type ConnectOptions, connect } from './client.ts'
import { ask, inBatches } from './crowd.ts'
import { closePayload, frame, OPCODE, textFrame } from './frames.ts'
import { RawSocket, upgradeRequest } from './raw-socket.ts'
import { type Env, type Server, startServer } from './server.ts'
import { clientsAre } from './still-serving.ts'
import { tcpCount } from './tcp-table.ts'
import { tokenFor } from './token.ts'
import { pollUntil } from './until.ts'

export interface MixOptions {
  total: number
  /** So many at a time. */
  atATime: number
  env?: Env
}

/** Upgrades from one address; the lives come from many addresses, and this one is over it. */
const ADDRESS_MAX = 100
const OVER_LIMIT_ADDRESS = '127.9.9.9'
/** /health may be late by this much in noticing that a peer has gone. */
const LAG_MS = 1_000

/** What the mix needs: fast pings, a low message limit, a small outbox, and a limit that one address is over. */
export const mixEnv: Env = {
  PING_INTERVAL_MS: '700',
  PONG_TIMEOUT_MS: '1000',
  MESSAGE_RATE: '5',
  MESSAGE_BURST: '20',
  OUTBOX_MAX_BYTES: '1024',
  CONNECT_RATE_MAX: String(ADDRESS_MAX),
  CONNECT_RATE_WINDOW_MS: '3600000',
}

interface Life {
  server: Server
  /** The client's own address. */
  from: string
  join(options?: ConnectOptions): Promise<Client>
}

/** Every way for a connection to begin and end; each resolves when the client's side has done its part. */
const lives: { [name: string]: (life: Life) => Promise<unknown> } = {
  'a good one and a Close': async ({ join }) => (await join()).close(),
  'a good one and a RST': async ({ join }) => (await join()).socket.reset(),
  'a good one and a FIN': async ({ join }) => {
    const { socket } = await join()
    socket.finish()
    await socket.ended()
    socket.destroy()
  },
  'a good one, then silence': async ({ join }) => {
    const { socket } = await join()
    socket.pong = false
    await socket.ended(10_000)
    socket.destroy()
  },
  'a bad token': ({ server, from }) => refused(server, '/ws?token=bad', 401, from),
  'over the limit': ({ server }) => refused(server, '/ws?token=bad', 429, OVER_LIMIT_ADDRESS),
  'a wrong path': ({ server, from }) => refused(server, `/nothing?token=${tokenFor('a')}`, 404, from),
  'a RST during the upgrade': async ({ server, from }) => {
    const socket = await RawSocket.open(server, { tcp: { localAddress: from } })
    await socket.flush(upgradeRequest(`/ws?token=${tokenFor('a')}`))
    socket.reset()
  },
  'half an upgrade, then a RST': async ({ server }) => {
    const socket = await RawSocket.open(server)
    await socket.flush(upgradeRequest('/ws').slice(0, 40))
    socket.reset()
  },
  'Close twice': async ({ join }) => {
    const { socket } = await join({ answerClose: false })
    const close = frame(OPCODE.close, closePayload(1000))
    socket.write(Buffer.concat([close, close, close]))
    await socket.ended()
    socket.destroy()
  },
  'an error, then a Close': async ({ join }) => {
    const { socket } = await join({ answerClose: false })
    socket.write(
      Buffer.concat([Buffer.from([0xff, 0x80, 0, 0, 0, 0]), frame(OPCODE.close, closePayload(1000))]),
    )
    await socket.ended()
    socket.destroy()
  },
  'a Close, then a RST': async ({ join }) => {
    const { socket } = await join({ answerClose: false })
    await socket.flush(frame(OPCODE.close, closePayload(1000)))
    socket.reset()
  },
  'ended by the message limit': async ({ join }) => {
    const { socket } = await join({ answerClose: false })
    socket.write(Buffer.concat(Array(300).fill(textFrame('{"type":"ping"}'))))
    await socket.ended(5_000)
    socket.destroy()
  },
  'ended for binary, but does not answer': async ({ join }) => {
    const { socket } = await join({ answerClose: false })
    socket.sendFrame(OPCODE.binary, 'b')
    await socket.ended(5_000)
    socket.destroy()
  },
}

export const lifeNames = Object.keys(lives)

async function refused(server: Server, target: string, status: number, localAddress: string) {
  const socket = await RawSocket.upgrade(server, target, { tcp: { localAddress } })
  const got = socket.response?.status ?? 0
  socket.destroy()
  if (got !== status) throw new Error(`${status} expected, got ${got}`)
}

/** Runs the mix and compares /health with what is really open, all the while and at every quiet moment. */
export async function clientMix(t: Test, { total, atATime, env = {} }: MixOptions): Promise<void> {
  const server = await startServer({ ...mixEnv, ...env })
  t.teardown(() => server.stop())
  await useUpLimit(server)
  const keepers = await inBatches(10, (i) => connect(server, `keeper-${i}`))
  for (const keeper of keepers) await keeper.join('kept')

  let begun = 0
  let worst: string | undefined
  let isOn = true
  const watch = (async () => {
    let polls = 0
    while (isOn) {
      const { clients, rooms } = await server.health('/health', 10_000)
      polls++
      // Never fewer than those that stay, never more than have connected at all and not yet ended for us.
      if (clients < keepers.length || clients > keepers.length + begun || rooms < 1)
        worst ??= `${clients} clients, ${rooms} rooms`
    }
    return polls
  })()
  watch.catch(() => {})

  await inBatches(
    total,
    async (index) => {
      const name = lifeNames[index % lifeNames.length] as string
      begun++
      const from = `127.2.${Math.floor(index / 64)}.1`
      const join = async (options: ConnectOptions = {}) => {
        const tcp = { localAddress: from }
        // Users of their own: who comes back after a flood is not let off it.
        const client = await connect(server, `${name} ${index}`, {}, { record: false, tcp, ...options })
        await ask(client, { type: 'join', room: `room-${index}` })
        return client
      }
      try {
        await lives[name]?.({ server, from, join })
      } catch (error) {
        throw new Error(`${name}: ${error}`)
      } finally {
        setTimeout(() => begun--, LAG_MS).unref()
      }
    },
    atATime,
  )
  await clientsAre(server, keepers.length, { rooms: 1, deadlineMs: 3_000 })
  isOn = false
  t.comment(`${await watch} looks at /health meanwhile`)
  t.equal(worst, undefined, '/health was never wrong meanwhile')
  await kickSlow(t, server, keepers.length)
  await pollUntil(
    'there are as many TCP connections',
    () => tcpCount(server.port, 'established') === keepers.length,
  )
  for (const keeper of keepers) keeper.socket.reset()
  await clientsAre(server, 0, { rooms: 0 })
  await pollUntil('no TCP connection is left', () => tcpCount(server.port, 'established') === 0)
  t.equal(server.stderr, '')
}

/** So many upgrades from one address that it is over the limit from now on. */
async function useUpLimit(server: Server): Promise<void> {
  const options = { tcp: { localAddress: OVER_LIMIT_ADDRESS } }
  await inBatches(ADDRESS_MAX, async () => {
    const socket = await RawSocket.upgrade(server, '/ws?token=bad', options)
    socket.destroy()
  })
}

/** Slow clients are ended by the server while others are counted. */
async function kickSlow(t: Test, server: Server, kept: number): Promise<void> {
  const slow = await inBatches(5, (i) => connect(server, `slow-${i}`))
  const sender = await connect(server, 'sender')
  for (const client of [...slow, sender]) await client.join('slow')
  for (const { socket } of slow) socket.pause()
  await clientsAre(server, kept + slow.length + 1)
  for (let i = 0; (await server.health()).clients > kept + 1; i++) {
    if (i > 30) throw new Error('slow clients stay')
    await sender.publish('slow', 'x'.repeat(500_000))
  }
  t.equal((await server.health()).clients, kept + 1, 'slow ones count no longer')
  await sender.close()
  for (const { socket } of slow) socket.destroy()
  await clientsAre(server, kept)
}

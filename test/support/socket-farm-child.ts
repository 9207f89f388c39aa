// A process of the farm of sockets: see socket-farm.ts.
import { connect, type Socket } from 'node:net'
import { inBatches } from './crowd.ts'
import { FrameReader, frame, OPCODE, textFrame } from './frames.ts'
import { upgradeRequest } from './raw-socket.ts'
import type { FarmOrder } from './socket-farm.ts'
import { tokenFor } from './token.ts'

const AT_A_TIME = 50
const TALKERS_A_TURN = 50

process.once('message', (order) => void open(order as FarmOrder))
process.once('disconnect', () => process.exit())

async function open({ port, from, count, teams, deaf, talk }: FarmOrder): Promise<void> {
  const teamOf = (n: number) => `team-${String(n % teams).padStart(3, '0')}`
  const sockets = await inBatches(
    count,
    (index) => {
      const n = from + index
      return member(port, n, ['lobby', teamOf(n), ...(n < deaf ? ['firehose'] : [])])
    },
    AT_A_TIME,
  )
  for (const socket of sockets.slice(0, Math.max(0, deaf - from))) socket.pause()
  process.send?.('joined')
  if (talk === 0) return
  let turn = 0
  setInterval(
    () => {
      for (let i = 0; i < TALKERS_A_TURN; i++) {
        const n = (turn++ * 37) % count
        const envelope = { type: 'message', room: teamOf(from + n), content: { text: `hello, ${turn}` } }
        sockets[n]?.write(textFrame(JSON.stringify(envelope)))
      }
    },
    (1000 * TALKERS_A_TURN) / talk,
  )
}

/** Resolves when it is in the rooms. */
function member(port: number, n: number, rooms: string[]): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let joined = 0
    let head: string | undefined = ''
    const reader = new FrameReader()
    const read = (bytes: Buffer) => {
      for (const { opcode, payload } of reader.push(bytes)) {
        if (opcode === OPCODE.ping) socket.write(frame(OPCODE.pong, payload))
        if (joined < rooms.length && payload.includes('"joined"') && ++joined === rooms.length)
          resolve(socket)
      }
    }
    socket.on('data', (bytes) => {
      if (head === undefined) return read(bytes)
      head += bytes.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 101')) reject(new Error(head.slice(0, end)))
      const rest = Buffer.from(head.slice(end + 4), 'latin1')
      head = undefined
      for (const room of rooms) socket.write(textFrame(JSON.stringify({ type: 'join', room })))
      read(rest)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
    socket.write(upgradeRequest(`/ws?token=${tokenFor(`user-${n}`)}`))
  })
}

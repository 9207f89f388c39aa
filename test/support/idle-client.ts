// Case B49: a client that only answers pings, and everything that came to it.
import { type Frame, OPCODE } from './frames.ts'
import { type Address, RawSocket } from './raw-socket.ts'
import { tokenFor } from './token.ts'

export interface IdleClient {
  socket: RawSocket
  /** How many pings came. */
  pings: () => number
  /** What came besides the welcome and pings; it should be nothing. */
  foreign: () => string[]
}

/** Connects, waits for the welcome, and from then on only answers pings. */
export async function recordIdle(address: Address): Promise<IdleClient> {
  const token = tokenFor('idle', { exp: Math.floor(Date.now() / 1000) + 86_400 })
  const socket = await RawSocket.upgrade(address, `/ws?token=${token}`)
  await socket.frame('the welcome', ({ payload }) => payload.includes('"welcome"'))
  const isPing = ({ fin, rsv, opcode, masked, payload }: Frame) =>
    fin && rsv === 0 && opcode === OPCODE.ping && !masked && payload.length <= 125
  const headBytes = socket.bytesRead - frameBytes(socket.frames)
  return {
    socket,
    pings: () => socket.frames.filter(isPing).length,
    foreign: () => {
      const [, ...others] = socket.frames
      const faults = others.filter((frame) => !isPing(frame)).map(({ payload }) => payload.toString('latin1'))
      // Every byte is accounted for: a cut or foreign byte would be in no frame, or make frames of nonsense.
      if (socket.bytesRead !== headBytes + frameBytes(socket.frames)) faults.push('bytes that are no frame')
      return faults
    },
  }
}

/** Small frames that are not masked have a header of two bytes, those up to 64 KB one of four. */
function frameBytes(frames: Frame[]): number {
  return frames.reduce((sum, { payload }) => sum + payload.length + (payload.length < 126 ? 2 : 4), 0)
}

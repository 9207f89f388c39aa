import type { EventEmitter } from 'node:events'

/**
 * What is to be called once a request has got what it waits for. When its socket closes first it is never called, and
 * held no longer: what is waited for would else keep the request, the socket, and all that was read from it.
 */
export function whileOpen<Arguments extends unknown[]>(
  socket: EventEmitter,
  then: (...args: Arguments) => void,
): (...args: Arguments) => void {
  let held: { socket: EventEmitter; then: typeof then } | undefined = { socket, then }
  const drop = () => {
    held = undefined
  }
  socket.once('close', drop)
  return (...args) => {
    const { socket, then } = held ?? {}
    held = undefined
    socket?.off('close', drop)
    then?.(...args)
  }
}

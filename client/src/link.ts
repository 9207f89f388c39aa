import type { ToClient } from '../../src/protocol/wire.ts'
import type { End } from './back-off.ts'
import type { Platform } from './platform.ts'

/** One connection's life. After `end`, or its own `close`, it says nothing more. */
export interface Link {
  readonly kind: 'websocket' | 'stream'
  /** The JSON text of an envelope. */
  send(text: string): void
  close(): void
}

/** What a link's owner hears. */
export interface LinkEvents {
  /** Requests may be sent; the welcome has not come yet. */
  open(): void
  /** A sign of life that is no envelope. */
  alive(): void
  envelope(envelope: ToClient): void
  end(end: End): void
}

/** Opens a WebSocket. Whatever goes wrong, also at once, is an `end`. */
export function openWebSocket(url: string, { WebSocket }: Platform, events: LinkEvents): Link {
  let socket: WebSocket | undefined
  /** Takes the listeners off: what the old socket says late is nobody's. */
  const detach = () => {
    const old = socket
    socket = undefined
    if (old === undefined) return
    old.onopen = old.onmessage = old.onclose = null
    // Some report a fault of the closing itself, and nobody would listen.
    old.onerror = () => {}
    try {
      old.close(1000)
    } catch {
      // It had not come so far that there is something to close.
    }
  }
  const end = (code: number, reason: string) => {
    if (socket === undefined) return
    detach()
    events.end({ code, reason })
  }
  try {
    socket = new (WebSocket as new (url: string) => WebSocket)(url)
    socket.onopen = () => events.open()
    socket.onmessage = ({ data }) => {
      let envelope: ToClient | undefined
      try {
        envelope = JSON.parse(data)
      } catch {
        // Not of this protocol, like what has no type.
      }
      if (envelope?.type) events.envelope(envelope)
    }
    socket.onclose = ({ code, reason }) => end(code, reason)
    socket.onerror = () => {}
  } catch (error) {
    queueMicrotask(() => events.end({ code: 1006, reason: String(error) }))
  }
  return {
    kind: 'websocket',
    send: (text) => {
      if (socket?.readyState === 1) socket.send(text)
    },
    close: detach,
  }
}

/** What the hub needs of a WebSocket and of the TCP socket under it. Implementation: plugins/websocket.ts. */
export interface Socket {
  /** Writes pieces of frames, all at once; returns whether the kernel has taken everything handed over so far. */
  write(pieces: readonly Buffer[]): boolean
  /** So late the socket may be in telling that the kernel has taken what it had room for. */
  readonly lagMs: number
  /** Calls `listener` once, when the kernel has taken everything handed over until now. */
  onceTaken(listener: () => void): void
  /** Bytes received so far, those of unfinished frames included. */
  readonly bytesRead: number
  /** Bytes handed over so far. */
  readonly bytesWritten: number
  /** Starts the closing handshake; the socket is destroyed if the peer does not finish it in time. */
  close(code: number, reason: string): void
  /** Ends the TCP connection at once. */
  destroy(): void
  /** Stops and restarts reading; the kernel then holds the peer back. */
  pause(): void
  resume(): void
}

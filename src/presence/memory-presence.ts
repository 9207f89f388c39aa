import type { Presence } from './presence.ts'

/** Presence of one node: there are no others to tell. */
export class MemoryPresence implements Presence {
  start(): void {}

  open(): undefined {}

  announce(): void {}

  close(): void {}

  async stop(): Promise<void> {}
}

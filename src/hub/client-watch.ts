import type { Cause } from './cause.ts'
import type { Client } from './client.ts'

/** Who is told of a node's clients as they come and go; each is told once of each, and must not throw. */
export interface ClientWatch {
  connected(node: string, client: Client): void
  disconnected(node: string, client: Client, cause: Cause): void
}

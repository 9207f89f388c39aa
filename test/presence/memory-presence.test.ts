import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { presenceContract } from '../support/presence-contract.ts'

presenceContract('memory', {
  nodes: 1,
  create: async () => ({ node: 'alone', presence: new MemoryPresence(), close: async () => {} }),
})

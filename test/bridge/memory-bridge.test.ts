import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { systemClock } from '../../src/clock.ts'
import { bridgeContract } from '../support/bridge-contract.ts'

bridgeContract('memory', { nodes: 1, create: (limits) => new MemoryBridge(limits, systemClock) })

import type { TestRedis } from '../redis.ts'

const KEYS = 1000
const MIGRATE_MS = 5000

/** Moves one slot that holds something, live, from one master of a Cluster to another. */
export async function moveSlot(masters: readonly TestRedis[], which: number): Promise<void> {
  const from = masters[which % masters.length]
  const to = masters[(which + 1) % masters.length]
  if (from === undefined || to === undefined || from === to) return
  const [, keys] = (await from.command('SCAN', 0, 'COUNT', KEYS)) as [string, string[]]
  const key = keys[which % Math.max(1, keys.length)]
  if (key === undefined) return
  const slot = Number(await from.command('CLUSTER', 'KEYSLOT', key))
  const [fromId, toId] = [
    String(await from.command('CLUSTER', 'MYID')),
    String(await to.command('CLUSTER', 'MYID')),
  ]
  await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
  await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
  for (;;) {
    const moved = (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, KEYS)) as string[]
    if (moved.length === 0) break
    await from.command('MIGRATE', '127.0.0.1', to.port, '', 0, MIGRATE_MS, 'REPLACE', 'KEYS', ...moved)
  }
  for (const master of [to, from, ...masters.filter((one) => one !== from && one !== to)])
    await master.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
}

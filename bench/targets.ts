// What roomcast is to reach against each peer, as a ratio within one run: lower is better.

import { figure, type Results, runsOf, type Spread, spread } from './results.ts'
import type { Measure } from './scenarios.ts'
import type { ServerName } from './servers.ts'

export type PeerName = 'gorilla' | 'gorilla-frames' | 'socket-io' | 'bun' | 'ws-loop'

export interface TargetRow {
  title: string
  scenario: string
  measure: Measure
  most: Partial<Record<PeerName, number>>
}

/** The target names gorilla; both forms of its hub are held against it. */
const gorilla = (most: number) => ({ gorilla: most, 'gorilla-frames': most })

export const targetRows: readonly TargetRow[] = [
  {
    title: '500 members, window 64: CPU a delivery',
    scenario: 'fan-out-64',
    measure: 'cpuPerDelivery',
    most: { ...gorilla(0.06), 'socket-io': 0.04, bun: 1 },
  },
  {
    title: '500 members, window 8: CPU a delivery',
    scenario: 'fan-out-8',
    measure: 'cpuPerDelivery',
    most: { ...gorilla(0.2), 'socket-io': 0.17, bun: 1 },
  },
  {
    title: '1,000 clients in 100 rooms: CPU a delivery',
    scenario: 'rooms',
    measure: 'cpuPerDelivery',
    most: { ...gorilla(0.38), 'socket-io': 0.25, bun: 1.3 },
  },
  {
    title: 'paced: p99 latency',
    scenario: 'paced',
    measure: 'p99',
    most: { ...gorilla(0.8), 'socket-io': 0.8, bun: 1 },
  },
  {
    title: 'everybody speaks, saturated: CPU a delivery',
    scenario: 'everybody',
    measure: 'cpuPerDelivery',
    most: { 'ws-loop': 0.1 },
  },
  {
    title: 'everybody speaks, saturated: memory',
    scenario: 'everybody',
    measure: 'peak',
    most: { ...gorilla(1), 'socket-io': 1, bun: 1, 'ws-loop': 1 },
  },
  {
    title: 'everybody speaks, paced: CPU a delivery',
    scenario: 'everybody-paced',
    measure: 'cpuPerDelivery',
    most: { 'ws-loop': 0.1 },
  },
  {
    title: 'everybody speaks, paced: memory',
    scenario: 'everybody-paced',
    measure: 'peak',
    most: { ...gorilla(1), 'socket-io': 1, bun: 1, 'ws-loop': 1 },
  },
  {
    title: 'memory a client, idle',
    scenario: 'idle',
    measure: 'memory',
    most: { ...gorilla(0.28), 'socket-io': 0.6, bun: 4 },
  },
  {
    title: 'CPU a connect, with JWT and limits',
    scenario: 'idle',
    measure: 'cpuPerConnect',
    most: { ...gorilla(1), 'socket-io': 0.45 },
  },
]

export interface Verdict {
  most: number
  /** Over the rounds, roomcast against the peer in the same round; undefined when one of them was not measured. */
  ratio: Spread | undefined
  isMet: boolean | undefined
}

export function verdict(results: Results, row: TargetRow, peer: PeerName): Verdict | undefined {
  const most = row.most[peer]
  if (most === undefined) return undefined
  const ratio = spread(ratios(results, row, peer))
  return { most, ratio, isMet: ratio === undefined ? undefined : ratio.median <= most }
}

function ratios(results: Results, { scenario, measure }: TargetRow, peer: ServerName): number[] {
  const peers = runsOf(results, scenario, peer)
  return runsOf(results, scenario, 'roomcast').flatMap(({ round, result }) => {
    const own = figure(result, measure)
    const other = peers.find((run) => run.round === round)
    const theirs = other && figure(other.result, measure)
    return own === undefined || theirs === undefined ? [] : [own / theirs]
  })
}

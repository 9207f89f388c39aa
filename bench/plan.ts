// What was asked for: options → scenarios, servers, rounds.
import { parseArgs } from 'node:util'
import { maxFiles } from './machine.ts'
import type { LeftOut } from './prepare.ts'
import { type Scenario, scenarios } from './scenarios.ts'
import { type ServerName, serverNames } from './servers.ts'

export const HELP = `npm run bench -- [options]
  --quick            fewer scenarios, clients, seconds and rounds: under 3 minutes
  --scenario NAME    only this one; may be repeated
  --peer NAME        roomcast against this one only; may be repeated
  --rounds N         default 5, with --quick 1
  --members N        no more than these in any scenario, for a trial
  --seconds N        no run longer than this, for a trial
  --name NAME        of the results file in bench/results; gives a partial run a report too
scenarios: ${scenarios({ quick: false, maxFiles: Infinity })
  .map(({ name }) => name)
  .join(', ')}
peers: ${serverNames.join(', ')}`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    scenario: { type: 'string', multiple: true },
    peer: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    members: { type: 'string' },
    seconds: { type: 'string' },
    name: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
export const asked = values

export interface Plan {
  rounds: number
  scenarios: Scenario[]
  /** Such a run says too little for docs/BENCHMARKS.md. */
  isPartial: boolean
}

export function plan(leftOut: LeftOut[]): Plan {
  const { quick, scenario, peer, members, seconds } = asked
  const all = scenarios({
    quick,
    maxFiles: maxFiles(),
    ...(members !== undefined && { maxMembers: Number(members) }),
    ...(seconds !== undefined && { maxRunS: Number(seconds) }),
  })
  const known = all.map(({ name }) => name)
  refuseUnknown('scenario', scenario, known)
  refuseUnknown('peer', peer, serverNames)
  const takesPart = (server: ServerName) =>
    (peer === undefined || server.startsWith('roomcast') || peer.includes(server)) &&
    !leftOut.some((left) => left.server === server)
  return {
    rounds: Number(asked.rounds ?? (quick ? 1 : 5)),
    scenarios: all
      .filter(({ name }) => scenario === undefined || scenario.includes(name))
      .map((chosen) => ({ ...chosen, servers: chosen.servers.filter(takesPart) })),
    isPartial: Boolean(quick || scenario || peer || members || seconds),
  }
}

function refuseUnknown(what: string, names: string[] | undefined, known: readonly string[]): void {
  for (const name of names ?? []) {
    if (!known.includes(name)) throw new Error(`no ${what} ${name}; there are: ${known.join(', ')}`)
  }
}

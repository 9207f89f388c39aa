import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import { unpinned } from './launch.ts'

export interface Machine {
  cpu: string
  cores: number
  memoryGib: number
  kernel: string
  node: string
  compiler: string
  maxFiles: number
  /** Why servers and generator shared the cores; absent when each had its own. */
  unpinned?: string
}

function output(command: string, ...args: string[]): string {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout?.trim() ?? ''
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    compiler: output('cc', '--version').split('\n')[0] ?? '',
    maxFiles: maxFiles(),
    ...(unpinned !== undefined && { unpinned }),
  }
}

/** The hard limit: the servers and the generator raise theirs to it. */
export function maxFiles(): number {
  const limit = output('sh', '-c', 'ulimit -Hn')
  return limit === 'unlimited' ? 1_000_000 : Number(limit)
}

export function commit(): string {
  const folder = new URL('.', import.meta.url).pathname
  return output('git', '-C', folder, 'describe', '--always', '--dirty')
}

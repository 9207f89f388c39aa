// Debian's Prometheus with deploy/prometheus/rules.yml, scraping nodes once a second.
import { execFile } from 'node:child_process'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { freePort } from './free-port.ts'
import { startProgram } from './program.ts'
import type { Address } from './raw-socket.ts'
import { pollUntil } from './until.ts'

export const RULES = 'deploy/prometheus/rules.yml'

export interface Sample {
  metric: Record<string, string>
  value: [at: number, value: string]
}
export interface AlertRule {
  name: string
  query: string
  health: string
  state: string
  lastError?: string
}

export class Prometheus {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  static async start(t: Test, nodes: readonly Address[]): Promise<Prometheus> {
    const folder = t.testdir()
    copyFileSync(RULES, join(folder, 'rules.yml'))
    const targets = nodes.map(({ host, port }) => `${host}:${port}`)
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yml'],
      scrape_configs: [{ job_name: 'roomcast', static_configs: [{ targets }] }],
    }
    // YAML has JSON in it.
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config))
    const address = `127.0.0.1:${await freePort()}`
    startProgram(t, 'prometheus', [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ])
    const url = `http://${address}`
    await pollUntil(
      'Prometheus is ready',
      async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok,
      15_000,
    )
    return new Prometheus(url)
  }

  /** The samples of an expression now; rejects with what is wrong with it. */
  async query(expr: string): Promise<Sample[]> {
    const { result } = await this.#get<{ result: Sample[] }>(`query?query=${encodeURIComponent(expr)}`)
    return result
  }

  async alerts(): Promise<AlertRule[]> {
    const { groups } = await this.#get<{ groups: { rules: AlertRule[] }[] }>('rules')
    return groups.flatMap(({ rules }) => rules)
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${path}`)
    const { status, error, data } = (await response.json()) as { status: string; error?: string; data: T }
    if (status !== 'success') throw new Error(`${path}: ${error}`)
    return data
  }
}

/** Runs promtool; resolves with what it printed, rejects when it is not content. */
export async function promtool(...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)('promtool', args)
  return stdout + stderr
}

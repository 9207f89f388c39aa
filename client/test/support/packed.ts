import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Packs a workspace as npm would publish it, without building it again; resolves with the tarball's path. */
export function pack(folder: string, into: string): string {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', into]
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { cwd: folder, encoding: 'utf8' })) as [
    { filename: string },
  ]
  return join(into, filename)
}

/** A project that has the packed client, and nothing else. */
export function project(t: Test, files: Record<string, string>): string {
  const directory = t.testdir({ 'package.json': '{"type":"module"}', ...files })
  execFileSync('tar', ['xzf', pack('client', directory), '-C', directory])
  mkdirSync(join(directory, 'node_modules'))
  cpSync(join(directory, 'package'), join(directory, 'node_modules/roomcast-client'), { recursive: true })
  return directory
}

// Brings what the benchmark needs: packages of the peers, the build, the generator, the Go hub.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { BUILD, GORILLA, type ServerName } from './servers.ts'

const here = (path: string) => new URL(path, import.meta.url).pathname
const GO_PACKAGES = 'golang-go golang-github-gorilla-websocket-dev'

export interface LeftOut {
  server: ServerName
  reason: string
}

/** Resolves to the servers that cannot take part on this machine, and why. */
export function prepare(): LeftOut[] {
  if (!existsSync(here('node_modules'))) {
    console.log('Installing the peers’ packages (npm ci in bench/)')
    must('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], here('.'))
  }
  console.log('Building roomcast and the peers')
  must('npm', ['run', '--silent', 'build'], here('..'))
  buildPeers()
  const leftOut: LeftOut[] = []
  const gorilla = buildGorilla()
  if (gorilla !== undefined) {
    for (const server of ['gorilla', 'gorilla-frames'] as const) leftOut.push({ server, reason: gorilla })
  }
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    const reason = 'no redis-server in PATH (node scripts/setup-tests.mjs installs it)'
    leftOut.push({ server: 'roomcast-2', reason })
  }
  return leftOut
}

function must(command: string, args: string[], cwd: string): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `code ${status}`}`)
}

/** To JavaScript, types erased: a loader in the server's process would be measured too. */
function buildPeers(): void {
  mkdirSync(join(BUILD, 'peers'), { recursive: true })
  const compilerOptions: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  for (const name of readdirSync(here('peers')).filter((name) => name.endsWith('.ts'))) {
    const source = readFileSync(here(`peers/${name}`), 'utf8')
    const { outputText } = ts.transpileModule(source, { compilerOptions, fileName: name })
    writeFileSync(join(BUILD, 'peers', name.replace(/ts$/, 'js')), outputText)
  }
}

/** Why there is no Go hub; undefined when it is built. Debian's packages are enough, nothing is fetched. */
function buildGorilla(): string | undefined {
  if (
    !existsSync('/usr/share/gocode/src/github.com/gorilla/websocket') ||
    spawnSync('go', ['version']).status !== 0
  ) {
    return `needs Debian's ${GO_PACKAGES}`
  }
  const env = {
    ...process.env,
    GO111MODULE: 'off',
    GOPATH: '/usr/share/gocode',
    GOCACHE: join(BUILD, 'go-cache'),
  }
  const { status, stderr } = spawnSync('go', ['build', '-o', GORILLA, '.'], {
    cwd: here('peers/gorilla'),
    env,
    encoding: 'utf8',
  })
  return status === 0 ? undefined : `it does not build: ${stderr.trim()}`
}

// Brings what the tests need besides Node: Debian packages, installed only when something is missing, and tap as it is
// used here.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

/** Package → what shows that it is there. */
const needs = {
  'redis-server': hasCommand('redis-server'),
  chromium: existsSync('/usr/bin/chromium'),
  'python3-websockets': existsSync('/usr/lib/python3/dist-packages/websockets'),
  nginx: hasCommand('nginx'),
  haproxy: hasCommand('haproxy'),
  prometheus: hasCommand('promtool'),
  openssl: hasCommand('openssl'),
  tmux: hasCommand('tmux'),
  iproute2: hasCommand('ip'),
  // For their completions.
  zsh: hasCommand('zsh'),
  fish: hasCommand('fish'),
  // For the benchmark's load generator.
  gcc: hasCommand('cc'),
  'libc6-dev': existsSync('/usr/include/stdio.h'),
}
/** With this file Debian starts no service of a package that it installs; the tests start their own. */
const POLICY = '/usr/sbin/policy-rc.d'

/** Tests that need these are skipped where they cannot be had, and say why. */
const optional = ['haproxy', 'prometheus', 'zsh', 'fish']

const missing = Object.keys(needs).filter((name) => !needs[name])
const required = missing.filter((name) => !optional.includes(name))
if (missing.length > 0 && !install(missing)) {
  if (required.length > 0 && (required.length === missing.length || !install(required))) {
    console.error(`The tests need these Debian packages; as root: apt-get install -y ${missing.join(' ')}`)
    process.exit(1)
  }
  const skipped = missing.filter((name) => optional.includes(name)).join(' ')
  console.error(`Tests are skipped for want of these Debian packages; as root: apt-get install -y ${skipped}`)
}

// tap would compile with a plugin that is slow to load: package.json leaves it out, and this makes tap without it.
if (!existsSync('.tap/plugins')) run(['npx', '--no-install', 'tap', 'build'])

function hasCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
  return folders.some((folder) => folder !== '' && existsSync(`${folder}/${name}`))
}

/** Whether apt-get could install them: as root, or by a sudo that asks nothing. */
function install(packages) {
  if (!hasCommand('apt-get')) return false
  const prefix = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  if (prefix.length > 0 && !run([...prefix, 'true'], 'ignore')) return false
  console.error(`Installing for the tests: ${packages.join(' ')}`)
  const makesPolicy = prefix.length === 0 && !existsSync(POLICY)
  if (makesPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    // Old lists may still do where the update fails.
    run([...prefix, 'apt-get', 'update', '-qq'])
    const options = ['-y', '-qq', '--no-install-recommends']
    return run([
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      'install',
      ...options,
      ...packages,
    ])
  } finally {
    if (makesPolicy) rmSync(POLICY, { force: true })
  }
}

/** apt-get's own words go to stderr: stdout is the tests'. */
function run([command, ...args], output = 2) {
  return spawnSync(command, args, { stdio: ['ignore', output, output] }).status === 0
}

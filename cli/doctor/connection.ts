import type WebSocket from 'ws'
import { clockFinding } from '../checks/clock.ts'
import { spanOf } from '../claim-steps.ts'
import { type Finding, fail, ok, warn } from '../finding.ts'
import { objectOf } from './http.ts'
import { protocolFinding, type Upgraded, type UpgradeOptions, upgrade, upgradeFinding } from './upgrade.ts'

/** Beyond the interval a ping may be late by the node's own load. */
const LATE_MS = 3000
const PONG_MS = 5000
/** How often it connects, so that a balancer shows its nodes. */
const CONNECTS = 4

export interface ConnectionOptions extends UpgradeOptions {
  /** The longest wait for the first ping. */
  idleMs: number
}

/** Connects, asks for an answer, and waits through a ping as a quiet client would. */
export async function checkConnection(options: ConnectionOptions): Promise<Finding[]> {
  const came = await upgrade(options)
  if (!('socket' in came)) return [upgradeFinding(came, options.origin)]
  const { socket, text, protocol } = came
  try {
    const welcome = objectOf(text) ?? {}
    if (welcome.type !== 'welcome')
      return [fail('upgrade', 'what answers at /ws does not speak as roomcast', 'see the path in the proxy')]
    const found = [protocolFinding(protocol), ...clockOf(welcome), await roundTrip(socket)]
    const [idle, more] = await Promise.all([
      quiet(socket, Number(welcome.pingIntervalMs), options.idleMs),
      others(options),
    ])
    return [...found, ...idle, ...more]
  } finally {
    socket.terminate()
  }
}

/** The node's own clock; a proxy's stands in the header Date. */
function clockOf({ expiresAt, expiresInMs }: Record<string, unknown>): Finding[] {
  if (typeof expiresAt !== 'number' || typeof expiresInMs !== 'number') return []
  return clockFinding("the node's clock", expiresAt - expiresInMs - Date.now())
}

function roundTrip(socket: WebSocket): Promise<Finding> {
  return new Promise((resolve) => {
    const startMs = performance.now()
    const mend = 'have the proxy keep nothing back after the 101 (nginx: proxy_buffering off)'
    const timer = setTimeout(
      () => resolve(fail('buffering', `a request has no answer within ${PONG_MS / 1000} s`, mend)),
      PONG_MS,
    )
    socket.on('message', (data) => {
      if (objectOf(String(data))?.type !== 'pong') return
      clearTimeout(timer)
      const tookMs = Math.round(performance.now() - startMs)
      resolve(
        tookMs < 1000
          ? ok('round trip', `${tookMs} ms`)
          : warn('round trip', `${tookMs} ms`, 'see the load of node and proxy, and the network'),
      )
    })
    socket.send('{"type":"ping"}')
  })
}

/** Says nothing until the server's ping: a proxy with a shorter idle time-out cuts before it. */
function quiet(socket: WebSocket, pingMs: number, mostMs: number): Promise<Finding[]> {
  const name = 'idle'
  const waitMs = pingMs + LATE_MS
  if (waitMs > mostMs) {
    const text = `not tried: pings come each ${spanOf(pingMs / 1000)}, and --idle allows ${spanOf(mostMs / 1000)}`
    return Promise.resolve([ok(name, text)])
  }
  return new Promise((resolve) => {
    const startMs = performance.now()
    const give = (finding: Finding) => {
      clearTimeout(timer)
      resolve([finding])
    }
    const timer = setTimeout(
      () =>
        give(
          warn(
            name,
            `no ping came within ${spanOf(waitMs / 1000)}`,
            'have the proxy pass on WebSocket pings',
          ),
        ),
      waitMs,
    )
    socket.once('ping', () =>
      give(
        ok(
          name,
          `a quiet client is kept: the ping came after ${spanOf((performance.now() - startMs) / 1000)}`,
        ),
      ),
    )
    socket.once('close', (code) => {
      const after = spanOf((performance.now() - startMs) / 1000)
      const cause = `a quiet client is cut after ${after} (${code}), and pings come each ${spanOf(pingMs / 1000)}`
      give(
        fail(
          name,
          cause,
          'raise the idle time-out of the proxy (nginx: proxy_read_timeout 75s), or lower PING_INTERVAL_MS',
        ),
      )
    })
  })
}

/** More connections meet other nodes, which should say the same. */
async function others(options: ConnectionOptions): Promise<Finding[]> {
  const came: Upgraded[] = []
  for (let n = 1; n < CONNECTS; n++) {
    const one = await upgrade(options)
    if ('socket' in one) one.socket.terminate()
    came.push(one)
  }
  const refused = came.find((one) => !('socket' in one))
  const found: Finding[] = []
  if (refused !== undefined && !('socket' in refused)) {
    const finding = upgradeFinding(refused, options.origin)
    const { cause, mend = '' } = finding
    // A limit that is reached meanwhile says nothing about other nodes.
    if (finding.name === 'limits') return [finding]
    found.push(
      fail(
        'nodes',
        `some nodes take this connection and others do not: ${cause}`,
        `give all nodes the same settings. ${mend}`,
      ),
    )
  }
  const by = await upgrade(options, 'subprotocol')
  if ('socket' in by) by.socket.terminate()
  else if (refused === undefined)
    found.push(
      warn(
        'subprotocol',
        'a token as a subprotocol does not arrive',
        'have the proxy pass on Sec-WebSocket-Protocol',
      ),
    )
  return found
}

/** Whether a page of another site may connect, where pages of ours are said to. */
export async function checkOrigins({ url, token, origin }: UpgradeOptions): Promise<Finding[]> {
  if (origin === undefined) return []
  const came = await upgrade({ url, token, origin: 'https://another-site.invalid' })
  if (!('socket' in came))
    return [ok('origin', `pages of ${origin} may connect, those of other sites may not`)]
  came.socket.terminate()
  return [warn('origin', 'pages of any site may connect', `set ALLOWED_ORIGINS=${origin}`)]
}

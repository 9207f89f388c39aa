import type { IncomingMessage } from 'node:http'
import WebSocket from 'ws'
import { type Finding, fail, ok, warn } from '../finding.ts'
import { objectOf } from './http.ts'

const OPEN_MS = 8000

/** What came of an upgrade. */
export type Upgraded =
  | { socket: WebSocket; text: string; protocol: string }
  | {
      status: number
      headers: IncomingMessage['headers']
      body: Record<string, unknown> | undefined
      text: string
    }
  | { fault: string }

export interface UpgradeOptions {
  url: string
  token: string
  origin?: string | undefined
}

/** Connects as a browser would, with the token in the query or as a subprotocol, and waits for the first envelope. */
export function upgrade(
  { url, token, origin }: UpgradeOptions,
  by: 'query' | 'subprotocol' = 'query',
): Promise<Upgraded> {
  return new Promise((resolve) => {
    const query = by === 'query' ? `?token=${encodeURIComponent(token)}` : ''
    const protocols = ['roomcast.v1', ...(by === 'query' ? [] : [`bearer.${token}`])]
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws${query}`, protocols, {
      ...(origin !== undefined && { origin }),
      perMessageDeflate: false,
    })
    const give = (what: Upgraded) => {
      clearTimeout(timer)
      resolve(what)
    }
    const timer = setTimeout(() => {
      give({ fault: socket.readyState === WebSocket.OPEN ? 'silent' : 'no answer' })
      socket.terminate()
    }, OPEN_MS)
    socket.on('error', ({ message }) => give({ fault: message }))
    socket.on('close', (code) => give({ fault: `closed with ${code}` }))
    socket.once('message', (data) => give({ socket, text: String(data), protocol: socket.protocol }))
    socket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        // Another server may repeat the address, and findings are pasted into tickets.
        const said = text.replaceAll(token, '…')
        give({ status, headers, body: objectOf(said), text: said })
        socket.terminate()
      })
    })
  })
}

/** Why there is no WebSocket. */
export function upgradeFinding(
  came: Exclude<Upgraded, { socket: WebSocket }>,
  origin: string | undefined,
): Finding {
  if ('fault' in came) return faultFinding(came.fault)
  const { status, headers, body, text } = came
  const by = headers.server === undefined ? '' : ` by ${headers.server}`
  const { error, message } = (body ?? {}) as { error?: string; message?: string }
  if (error === 'bad_upgrade') return badUpgrade(status, message ?? '')
  if (error === 'origin_refused')
    return fail(
      'origin',
      `pages of ${origin ?? 'this origin'} are refused (403 origin_refused)`,
      `add ${origin ?? 'it'} to ALLOWED_ORIGINS, and do not have the proxy change Origin`,
    )
  if (error === 'unauthorized')
    return fail(
      'token',
      'the token is refused (401 unauthorized)',
      'run `roomcast verify` with it where the node runs: another secret, an end that is past, a clock, an audience; or a proxy that takes the query or Authorization away',
    )
  if (error === 'rate_limited')
    return fail(
      'limits',
      `too many upgrades from one address (429); again in ${headers['retry-after']} s`,
      'set TRUST_PROXY to the proxy, or all clients share its limit; or raise CONNECT_RATE_MAX',
    )
  if (error === 'full')
    return fail(
      'limits',
      'the node is full (503)',
      'raise MAX_CLIENTS and the limit on open files, or add nodes',
    )
  if (error === 'refused') return fail('hook', `the connect hook refuses: ${message}`, 'see your back end')
  if (error === 'unavailable')
    return fail(
      'hook',
      "the connect hook, or the token's key, cannot be had (503)",
      'run `roomcast check` where the node runs',
    )
  // Fastify's own 404 has an `error` too: 'Not Found'.
  if (error !== undefined && /^[a-z_]+$/.test(error))
    return fail('upgrade', `${status} ${error}: ${message}`, 'see `roomcast explain` and the log of the node')
  if ([502, 503, 504].includes(status))
    return fail(
      'proxy',
      `the proxy has no node: ${status}${by}`,
      'start the nodes; see the upstream in the proxy, and HOST on the node',
    )
  if (status === 426 || status === 400)
    return fail(
      'upgrade',
      `the proxy refuses the upgrade: ${status}${by}`,
      'have it pass on Upgrade and Connection, over HTTP/1.1',
    )
  if (status === 413 || status === 414 || status === 431)
    return fail(
      'proxy',
      `the address with its token is too long for the proxy: ${status}${by}`,
      'raise its limit (nginx: large_client_header_buffers), or send the token as a subprotocol',
    )
  if (status === 403 || status === 401)
    return fail(
      'proxy',
      `${status}${by}, and not by roomcast`,
      'see the access rules or the firewall of the proxy',
    )
  return fail(
    'upgrade',
    `/ws is ${status}${by}, and not roomcast's: ${text.slice(0, 60)}`,
    'see the path: /ws, below the prefix if roomcast has one, must reach the node as it stands',
  )
}

function faultFinding(fault: string): Finding {
  if (fault === 'silent')
    return fail(
      'buffering',
      'the upgrade is answered, and then nothing comes',
      'have the proxy keep nothing back (nginx: proxy_buffering off), and pass bytes both ways after the 101',
    )
  if (fault === 'no answer')
    return fail(
      'upgrade',
      'the upgrade is not answered',
      'have the proxy pass on Upgrade and Connection, over HTTP/1.1',
    )
  return fail(
    'upgrade',
    fault,
    /Sec-WebSocket|protocol/i.test(fault)
      ? 'have the proxy pass on all headers that begin with Sec-WebSocket'
      : 'see the proxy, and the log of the node',
  )
}

function badUpgrade(status: number, message: string): Finding {
  const nginx =
    'nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
  if (status === 426) return fail('upgrade', 'the proxy takes the Upgrade header away (426)', nginx)
  if (/HTTP\/1\.1/.test(message))
    return fail('upgrade', `the proxy speaks HTTP/1.0 to the node (${message})`, nginx)
  if (status === 404)
    return fail(
      'upgrade',
      'the proxy changes the path (404 bad_upgrade)',
      'pass /ws on as it stands, with the prefix that roomcast has',
    )
  return fail('upgrade', `the proxy changes the upgrade: ${message}`, nginx)
}

/** What the 101 itself shows. */
export function protocolFinding(protocol: string): Finding {
  if (protocol === 'roomcast.v1') return ok('upgrade', '101, with the subprotocol roomcast.v1')
  return warn(
    'upgrade',
    'the subprotocol roomcast.v1 is not chosen',
    'have the proxy pass on Sec-WebSocket-Protocol',
  )
}

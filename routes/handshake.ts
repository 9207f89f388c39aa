import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { Refusal } from '../src/auth/refusal.ts'
import { elementsOf, hasBody, offersUpgradeTo, originForm } from '../src/request-head.ts'

/** RFC 9110 section 15.5.22: a 426 says what to upgrade to. */
const upgradeNeeded = { status: 426, headers: { upgrade: 'websocket', 'sec-websocket-version': '13' } }

/** Throws a Refusal unless the request is an upgrade as RFC 6455 section 4.2.1 wants it; ws would not say it our way. */
export function checkHandshake({ ws, raw, headers, routeOptions }: FastifyRequest): void {
  // The router decodes escapes; only the path as it is documented leads to a client.
  check(originForm(raw.url ?? '').split('?', 1)[0] === routeOptions.url, 'no such path', { status: 404 })
  check(ws, 'a WebSocket upgrade over HTTP/1.1 is needed', upgradeNeeded)
  check(headers['sec-websocket-version'] === '13', 'version 13 is needed', upgradeNeeded)
  check(raw.httpVersion === '1.1', 'HTTP/1.1 is needed')
  check(offersUpgradeTo('websocket', headers), 'the upgrade must be websocket')
  check(!hasBody(headers), 'an upgrade has no body')
  check(hasOneHost(raw.rawHeaders), 'one valid Host is needed')
  check(/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''), 'no valid Sec-WebSocket-Key')
  check(areProtocols(headers['sec-websocket-protocol']), 'no valid Sec-WebSocket-Protocol')
}

function check(isRight: boolean, message: string, options?: ConstructorParameters<typeof Refusal>[2]): void {
  if (!isRight) throw new Refusal('bad_upgrade', message, options)
}

/** RFC 9112 section 3.2. Node checks it for requests, but not for upgrades. */
function hasOneHost(rawHeaders: string[]): boolean {
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length !== 4 || rawHeaders[at]?.toLowerCase() !== 'host') continue
    if (++hosts > 1 || !/^[^\s/?#@\\]+$/.test(rawHeaders[at + 1] ?? '')) return false
  }
  return hosts === 1
}

/** Distinct tokens, as RFC 6455 section 4.1 wants them. */
function areProtocols(header: string | undefined): boolean {
  if (header === undefined) return true
  const names = elementsOf(header)
  const isToken = (name: string) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)
  return names.length > 0 && new Set(names).size === names.length && names.every(isToken)
}

/** Writes a checked handshake's lists as ws has them: it knows no empty elements, and one protocol to upgrade to. */
export function tidyHandshake({ headers }: IncomingMessage): void {
  headers.upgrade = 'websocket'
  const { 'sec-websocket-protocol': protocols } = headers
  if (protocols !== undefined) headers['sec-websocket-protocol'] = elementsOf(protocols).join(', ')
}

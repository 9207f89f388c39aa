import { connect } from 'node:net'
import { connect as connectOverTls } from 'node:tls'
import { type KeySource, readKeys } from '../../src/auth/key-source.ts'
import type { Config } from '../../src/config.ts'
import { type Finding, fail, ok, warn } from '../finding.ts'
import { isLoopback } from './settings.ts'

const ANSWER_MS = 4000

/** Key servers are read; of hooks and webhooks only the connection is tried, for each request means something. */
export async function checkBackEnds(config: Config): Promise<Finding[]> {
  const { jwksUrl, jwtIssuers, hookUrl, webhookUrl } = config
  const sources: KeySource[] = [
    ...(jwksUrl === undefined ? [] : [{ url: jwksUrl }]),
    ...jwtIssuers.map((issuer) => ({ issuer })),
  ]
  const urls = [
    ...(hookUrl === undefined ? [] : [['HOOK_URL', hookUrl]]),
    ...webhookUrl.map((url) => ['WEBHOOK_URL', url]),
  ]
  const found = await Promise.all([
    ...sources.map(checkKeys),
    ...urls.map(([name = '', url = '']) => checkConnection(name, url)),
  ])
  return found.flat()
}

async function checkKeys(source: KeySource): Promise<Finding[]> {
  const name = 'key server'
  const where = 'url' in source ? source.url : source.issuer
  try {
    const { keys } = (await readKeys(source, AbortSignal.timeout(ANSWER_MS))) as { keys?: unknown[] }
    if (!Array.isArray(keys) || keys.length === 0)
      return [fail(name, `${where} publishes no keys`, 'see JWKS_URL or JWT_ISSUERS, and the key server')]
    return [ok(name, `${where} publishes ${keys.length} keys`), ...plainHttp(name, where)]
  } catch (error) {
    return [
      fail(
        name,
        `${where}: ${(error as Error).message}`,
        'see the address in JWKS_URL or JWT_ISSUERS, exactly as iss has it, and the network',
      ),
    ]
  }
}

async function checkConnection(name: string, url: string): Promise<Finding[]> {
  const { protocol, hostname, port } = new URL(url)
  const isTls = protocol === 'https:'
  const host = hostname.replace(/^\[|\]$/g, '')
  const fault = await new Promise<string>((resolve) => {
    const options = { host, port: Number(port) || (isTls ? 443 : 80) }
    const socket = isTls ? connectOverTls({ ...options, servername: host }) : connect(options)
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer in time')))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      resolve('')
      socket.destroy()
    })
  })
  if (fault !== '')
    return [
      fail(
        'back end',
        `${name} cannot be reached: ${fault}`,
        'see the address, whether the back end runs, and its certificate',
      ),
    ]
  return [ok('back end', `${name} can be reached`), ...plainHttp('back end', url)]
}

function plainHttp(name: string, url: string): Finding[] {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || isLoopback(hostname) || /^[^.]+$|^(10|192\.168|172)\./.test(hostname))
    return []
  return [warn(name, `${url} is plain http: it can be read and forged on its way`, 'use https')]
}

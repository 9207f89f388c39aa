/** Where Redis is: one server, a master found by Sentinels, or a Cluster. `options` are as ioredis takes them. */
export type RedisTarget =
  | { kind: 'single'; options: Address & Login & { db: number } }
  | { kind: 'sentinel'; options: Login & { sentinels: Address[]; name: string } }
  | { kind: 'cluster'; nodes: Address[]; options: Login }
/** How to log in at a server. */
export interface Login {
  username?: string
  password?: string
  /** With TLS, by Node's own rules for certificates. */
  tls?: object
}
export interface Address {
  host: string
  port: number
}

const DEFAULT_PORT = 6379
const FORMS =
  'must be redis://host:port, rediss://…, redis+sentinel://host:port,…/name, redis+cluster://host:port,… or rediss+cluster://…; user and password, if any, percent-encoded before an @; no query'

/**
 * Reads REDIS_URL: `redis://host:port/database`, or `rediss://` with TLS, for one server, where port and database may
 * be left out; `redis+sentinel://host:port,host:port/master-name`; `redis+cluster://host:port,host:port`, with TLS
 * `rediss+cluster://`. User and
 * password stand before the `@`, percent-encoded. Throws an Error that says what is wrong and repeats nothing of it.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const [, scheme, user, hosts, path] =
    /^([a-z+]+):\/\/(?:([^@/]*)@)?([^/@?#\s]+)(?:\/([^/?#\s]*))?$/.exec(url) ?? []
  if (scheme === undefined || hosts === undefined) throw new Error(FORMS)
  const login: Login = { ...parseLogin(user), ...(scheme.startsWith('rediss') && { tls: {} }) }
  switch (scheme) {
    case 'redis':
    case 'rediss': {
      if (path !== undefined && !/^\d{0,9}$/.test(path))
        throw new Error('its path must be the number of a database')
      return {
        kind: 'single',
        options: { ...parseAddress(hosts, DEFAULT_PORT), db: Number(path ?? 0), ...login },
      }
    }
    case 'redis+sentinel':
      if (!path) throw new Error("the master's name is missing: redis+sentinel://host:port,…/name")
      return { kind: 'sentinel', options: { sentinels: parseAddresses(hosts), name: path, ...login } }
    case 'redis+cluster':
    case 'rediss+cluster':
      if (path) throw new Error('a Cluster has no database numbers')
      return { kind: 'cluster', nodes: parseAddresses(hosts), options: login }
    default:
      throw new Error(FORMS)
  }
}

function parseLogin(text = ''): Login {
  if (text === '') return {}
  const [, username = '', password = ''] = /^([^:]*):(.*)$/.exec(text) ?? []
  // Redis has no users without a password that a client could name.
  if (password === '') throw new Error('before the @ must be user:password, or :password')
  try {
    return {
      ...(username !== '' && { username: decodeURIComponent(username) }),
      password: decodeURIComponent(password),
    }
  } catch {
    throw new Error('user and password must be percent-encoded: % is %25')
  }
}

function parseAddresses(text: string): Address[] {
  return text.split(',').map((address) => parseAddress(address))
}

function parseAddress(text: string, defaultPort?: number): Address {
  const [, host, digits] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i.exec(text) ?? []
  if (host === undefined) throw new Error('hosts must be names or addresses, IPv6 in brackets, with a port')
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port === undefined) throw new Error('every host needs its port')
  if (port < 1 || port > 65_535) throw new Error('ports are from 1 to 65535')
  return { host: host.replace(/^\[|\]$/g, ''), port }
}

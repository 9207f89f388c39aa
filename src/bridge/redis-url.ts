/** Where Redis is: one server, a master found by Sentinels, or a Cluster. */
export type RedisTarget =
  | { kind: 'single'; url: string }
  | { kind: 'sentinel'; sentinels: Address[]; name: string; login: Login }
  | { kind: 'cluster'; nodes: Address[]; login: Login }
interface Login {
  username?: string
  password?: string
}
interface Address {
  host: string
  port: number
}

/**
 * Reads REDIS_URL: `redis://` or `rediss://` for one server, `redis+sentinel://host:port,host:port/master-name`,
 * `redis+cluster://host:port,host:port`; user and password before the `@`. Returns undefined for anything else.
 */
export function parseRedisUrl(url: string): RedisTarget | undefined {
  if (/^rediss?:\/\/[^/\s]/.test(url) && URL.canParse(url)) return { kind: 'single', url }
  const parts = /^redis\+(sentinel|cluster):\/\/(?:([^@/]*)@)?([^/@\s]+)(?:\/([\w.-]+))?$/.exec(url)
  if (parts === null) return undefined
  const [, kind, user = '', hosts = '', name] = parts
  const addresses = hosts.split(',').map(parseAddress)
  if (!addresses.every((address) => address !== undefined)) return undefined
  const [username = '', password = ''] = user.includes(':') ? user.split(':').map(decodeURIComponent) : []
  const login: Login = { ...(username !== '' && { username }), ...(password !== '' && { password }) }
  if (kind === 'sentinel') {
    return name === undefined ? undefined : { kind, sentinels: addresses, name, login }
  }
  return name === undefined ? { kind: 'cluster', nodes: addresses, login } : undefined
}

function parseAddress(text: string): Address | undefined {
  const parts = /^(\[[\da-f:]+\]|[\w.-]+):(\d{1,5})$/i.exec(text)
  return parts === null
    ? undefined
    : { host: (parts[1] as string).replace(/^\[|\]$/g, ''), port: Number(parts[2]) }
}

import { BlockList } from 'node:net'
import { hasShortSecret, verificationKeys } from '../../src/auth/keys.ts'
import { type Config, ConfigError, configFromEnv, variableName } from '../../src/config.ts'
import { withKeyMaterial } from '../../src/service.ts'
import { settings } from '../../src/settings.ts'
import { type Finding, fail, ok, warn } from '../finding.ts'

/** What the operator knows of the surroundings, and the settings do not say. */
export interface Surroundings {
  /** A page that is to connect. */
  origin?: string
  /** The address of the proxy in front. */
  proxy?: string
  /** The proxy's idle time-out. */
  idleTimeoutS?: number
}

/** The settings as a start would take them; undefined with the faults that keep it from starting. */
export function readSettings(env: NodeJS.ProcessEnv): { config?: Config; findings: Finding[] } {
  const findings = misspelt(env)
  try {
    const given = configFromEnv(env)
    const isWithout = given.jwtSecret.length + given.jwtPublicKey.length === 0
    const isOpen = isWithout && given.jwksUrl === undefined && given.jwtIssuers.length === 0
    // In development a start makes a secret; a check makes none.
    if (isOpen && given.nodeEnv !== 'production') {
      findings.push(ok('keys', 'none are set: outside production a start makes a secret'))
      return { config: given, findings }
    }
    const { config } = withKeyMaterial(given)
    verificationKeys(config, variableName)
    return { config, findings }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const faults = error.message.split(/; (?=[A-Z_]+: )/)
    const mend = 'give the variable a value that docs/SETTINGS.md allows'
    findings.push(...faults.map((fault) => fail('settings', `the server cannot start: ${fault}`, mend)))
    return { findings }
  }
}

/** What the settings make likely to go wrong. */
export function checkSettings(config: Config, around: Surroundings): Finding[] {
  const found = [
    ...secretFindings(config),
    ...pageFindings(config, around),
    ...proxyFindings(config, around),
    ...ruleFindings(config),
  ]
  return found.length === 0 ? [ok('settings', 'they can be honoured, and go together')] : found
}

function secretFindings(config: Config): Finding[] {
  const { nodeEnv, host, jwtSecret, apiKeys, jwtRequireExp, jwtClockToleranceMs } = config
  const found: Finding[] = []
  const isPublic = !isLoopback(host)
  const longSecret = 'take `openssl rand -hex 32`, put it beside the old one, and sign with it'
  if (hasShortSecret(config))
    found.push(warn('secret', 'a JWT_SECRET has less than 32 bytes and can be guessed', longSecret))
  if (jwtSecret.some((secret) => /change.?me|example|your.?secret|^secret|^(.)\1*$/i.test(secret)))
    found.push(fail('secret', 'a JWT_SECRET is one of an example', longSecret))
  if (apiKeys.some(({ secret }) => jwtSecret.includes(secret)))
    found.push(
      fail(
        'secret',
        'an API key is also a JWT_SECRET: who has one has both',
        'give API_KEYS a secret of its own',
      ),
    )
  if (isPublic && nodeEnv !== 'production' && jwtSecret.length + config.jwtPublicKey.length > 0)
    found.push(
      warn('production', 'HOST is for all, and NODE_ENV is not production', 'set NODE_ENV=production'),
    )
  if (!jwtRequireExp)
    found.push(
      warn(
        'expiry',
        'JWT_REQUIRE_EXP=false takes tokens that never end',
        'leave it at true, and sign with exp',
      ),
    )
  if (jwtClockToleranceMs > 5 * 60_000)
    found.push(
      warn(
        'expiry',
        `tokens hold ${Math.round(jwtClockToleranceMs / 60_000)} min longer than they say`,
        'set JWT_CLOCK_TOLERANCE_MS below 60000, and set the clocks by NTP',
      ),
    )
  return found
}

function pageFindings(config: Config, { origin }: Surroundings): Finding[] {
  const { nodeEnv, allowedOrigins, defaultCan, messageRate, connectRateMax, logLevel } = config
  const found: Finding[] = []
  const isProduction = nodeEnv === 'production'
  if (origin !== undefined && allowedOrigins.length > 0 && !allowedOrigins.includes(origin))
    found.push(
      fail(
        'origin',
        `pages of ${origin} are refused: ALLOWED_ORIGINS has not that origin`,
        `add ${origin} to ALLOWED_ORIGINS`,
      ),
    )
  if (isProduction && allowedOrigins.length === 0)
    found.push(
      warn(
        'origin',
        'ALLOWED_ORIGINS is empty: pages of any site may connect',
        'set ALLOWED_ORIGINS to the origins of your pages',
      ),
    )
  if (isProduction && defaultCan.broadcast === true && defaultCan.join?.includes('*') === true)
    found.push(
      warn(
        'permissions',
        'DEFAULT_CAN lets each token without `can` join, publish and broadcast everywhere',
        "set DEFAULT_CAN='{}' and give each token what it needs",
      ),
    )
  if (defaultCan.admin === true)
    found.push(fail('permissions', 'DEFAULT_CAN makes everybody an admin', 'take admin out of DEFAULT_CAN'))
  if (isProduction && (messageRate === 0 || connectRateMax === 0))
    found.push(
      warn(
        'limits',
        `${messageRate === 0 ? 'MESSAGE_RATE' : 'CONNECT_RATE_MAX'} is 0: no limit`,
        'leave it at its default',
      ),
    )
  if (isProduction && /^(debug|trace)$/.test(logLevel))
    found.push(warn('log', `LOG_LEVEL=${logLevel} writes lines for each client`, 'set LOG_LEVEL=info'))
  return found
}

/** What passes between a proxy and the node. */
function proxyFindings(config: Config, { proxy, idleTimeoutS }: Surroundings): Finding[] {
  const { trustProxy, pingIntervalMs, host, nodeEnv } = config
  const found: Finding[] = []
  const idleMs = (idleTimeoutS ?? 60) * 1000
  if (pingIntervalMs >= idleMs) {
    const whose = idleTimeoutS === undefined ? 'usual for proxies' : "the proxy's"
    found.push(
      fail(
        'idle',
        `PING_INTERVAL_MS is ${pingIntervalMs}, and an idle time-out of ${idleMs / 1000} s, ${whose}, cuts clients before a ping`,
        'set PING_INTERVAL_MS to less than half of the idle time-out',
      ),
    )
  }
  const wide = trustProxy.filter((one) => /\/([0-7])$/.test(one))
  if (wide.length > 0)
    found.push(
      fail(
        'proxy',
        `TRUST_PROXY believes ${wide.join(', ')}: anybody can make up an address`,
        'name your proxies only',
      ),
    )
  if (proxy !== undefined && trustProxy.length === 0)
    found.push(
      fail(
        'proxy',
        `TRUST_PROXY is empty: all clients behind ${proxy} share its address, and its limits`,
        `set TRUST_PROXY=${proxy}`,
      ),
    )
  else if (proxy !== undefined && !trusts(trustProxy, proxy))
    found.push(
      fail(
        'proxy',
        `TRUST_PROXY does not hold ${proxy}: all clients share its address, and its limits`,
        `add ${proxy} to TRUST_PROXY`,
      ),
    )
  else if (nodeEnv === 'production' && isLoopback(host) && trustProxy.length === 0)
    found.push(
      warn(
        'proxy',
        'HOST is this machine only, so a proxy stands in front, and TRUST_PROXY is empty',
        'set TRUST_PROXY=loopback',
      ),
    )
  return found
}

function ruleFindings({ roomRules, historySize, workers, redisUrl }: Config): Finding[] {
  const found: Finding[] = []
  const at = roomRules.findIndex(({ match }) => match === '*')
  if (at >= 0 && at < roomRules.length - 1)
    found.push(
      warn(
        'rules',
        `behind the rule that matches * no rule of ROOM_RULES is ever used, and there are ${roomRules.length - 1 - at}`,
        'put the rule for * last',
      ),
    )
  if (historySize === 0)
    found.push(
      warn(
        'history',
        'HISTORY_SIZE=0: who reconnects has missed what was said',
        'set it to 100, or use rules for the rooms that need none',
      ),
    )
  if (workers > 1 && redisUrl === undefined)
    found.push(fail('workers', 'they need REDIS_URL', 'set REDIS_URL'))
  return found
}

/** Names that are nearly a setting's: they are passed over without a word. */
function misspelt(env: NodeJS.ProcessEnv): Finding[] {
  const names = Object.keys(settings.shape).map(variableName)
  return Object.keys(env).flatMap((given) => {
    if (given.length < 7 || names.includes(given)) return []
    const meant = names.find((name) => name.length > 6 && isNear(given, name))
    return meant === undefined ? [] : [warn('settings', `${given} is no setting`, `${meant} may be meant`)]
  })
}

/** Whether one letter more, less or other, or a missing line below, makes one of the other. */
function isNear(given: string, name: string): boolean {
  const [a, b] = [given.replaceAll('_', ''), name.replaceAll('_', '')]
  if (a === b) return true
  let begin = 0
  while (begin < Math.min(a.length, b.length) && a[begin] === b[begin]) begin++
  return a.slice(begin + (a.length >= b.length ? 1 : 0)) === b.slice(begin + (b.length >= a.length ? 1 : 0))
}

/** Whether an address is this machine's own. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/.test(host)
}

function trusts(trusted: string[], address: string): boolean {
  const list = new BlockList()
  for (const one of trusted.flatMap((name) => ranges[name] ?? [name])) {
    const [net = '', bits] = one.split('/')
    const family = net.includes(':') ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(net, family)
    else list.addSubnet(net, Number(bits), family)
  }
  return list.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
}
const ranges: Record<string, string[]> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

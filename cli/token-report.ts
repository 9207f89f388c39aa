import { createVerifier } from 'fast-jwt'
import { type VerificationKey, verificationKeys } from '../src/auth/keys.ts'
import { TokenVerifier, verifierOptions } from '../src/auth/token-verifier.ts'
import { TokenFault } from '../src/auth/tokens.ts'
import { type Config, variableName } from '../src/config.ts'
import type { Log } from '../src/log.ts'
import { claimSteps } from './claim-steps.ts'

/** One thing that was looked at. */
export interface TokenStep {
  name: string
  ok: boolean
  text: string
}

export interface TokenReport {
  holds: boolean
  /** Why not, in one line. */
  reason?: string
  user?: string
  /** Seen before any verdict; nothing of it is to be trusted unless the token holds. */
  header?: Record<string, unknown>
  claims?: Record<string, unknown>
  steps: TokenStep[]
}

/** Has the server's own code say whether a token holds, and looks at its parts to say why not. */
export async function inspectToken(token: string, config: Config, log: Log): Promise<TokenReport> {
  const keys = verificationKeys(config, variableName)
  const parts = partsOf(token)
  if (typeof parts === 'string') {
    return { holds: false, reason: parts, steps: [{ name: 'form', ok: false, text: parts }] }
  }
  const { header, claims } = parts
  const verified = await verdict(token, keys, config, log)
  const isFault = verified instanceof TokenFault
  const steps = [
    { name: 'form', ok: true, text: 'three parts, header and claims are JSON' },
    signatureStep(token, header, keys, { config, isKnownGood: !isFault }),
    ...claimSteps(claims, config),
  ]
  const wrong = steps.find(({ ok }) => !ok)
  if (!isFault) return { holds: true, user: verified.user, header, claims, steps }
  if (wrong === undefined) steps.push({ name: 'server', ok: false, text: verified.reason })
  const reason = wrong === undefined ? verified.reason : `${wrong.name}: ${wrong.text}`
  return { holds: false, reason, header, claims, steps }
}

async function verdict(token: string, keys: VerificationKey[], config: Config, log: Log) {
  const verifiers = keys.map(({ key, algorithms }) =>
    createVerifier({ key, ...verifierOptions(config, algorithms, config.jwtIssuer) }),
  )
  const tokens = new TokenVerifier(config, verifiers)
  tokens.readKeySets(log)
  try {
    return await tokens.verify(token)
  } finally {
    tokens.close()
  }
}

function partsOf(token: string) {
  const parts = token.split('.')
  if (parts.length !== 3) return `a token has three parts with dots between, and this has ${parts.length}`
  const [header, claims] = parts.slice(0, 2).map((part) => {
    try {
      const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
      return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
    } catch {
      return undefined
    }
  })
  if (header === undefined) return 'its header is no JSON in base64url: a part may be missing, or cut off'
  if (claims === undefined) return 'its claims are no JSON in base64url: a part may be missing, or cut off'
  return { header, claims }
}

interface Signing {
  config: Config
  /** The server's own code takes the token, so its signature is right. */
  isKnownGood: boolean
}

function signatureStep(
  token: string,
  header: Record<string, unknown>,
  keys: VerificationKey[],
  { config, isKnownGood }: Signing,
): TokenStep {
  const name = 'signature'
  const { alg, kid } = header
  const named = `${String(alg)}${kid === undefined ? '' : `, kid ${String(kid)}`}`
  const fitting = keys.filter(({ algorithms }) => algorithms.some((one) => one === alg))
  if (isKnownGood || fitting.some((key) => verifies(token, key)))
    return { name, ok: true, text: `${named}, by a key of these settings` }
  const fromSets = config.jwksUrl !== undefined || config.jwtIssuers.length > 0
  if (alg === 'none') return { name, ok: false, text: 'it is not signed at all (alg none)' }
  if (fitting.length === 0 && !fromSets) {
    const accepted = [...new Set(keys.flatMap(({ algorithms }) => algorithms))].join(', ')
    return {
      name,
      ok: false,
      text: `${named} is not accepted; with these keys and JWT_ALGORITHMS: ${accepted}`,
    }
  }
  const which = fromSets
    ? 'no key of the settings or of the key servers'
    : `none of ${fitting.length} ${String(alg)} key(s)`
  return {
    name,
    ok: false,
    text: `${named}: ${which} verifies it. Another secret has signed it, or it was changed`,
  }
}

/** Whether this key has signed it, whatever it says. */
function verifies(token: string, { key, algorithms }: VerificationKey): boolean {
  try {
    createVerifier({ key, algorithms, ignoreExpiration: true, ignoreNotBefore: true })(token)
    return true
  } catch {
    return false
  }
}

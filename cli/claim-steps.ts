import { defaultPermissions } from '../src/auth/permissions.ts'
import { identityFrom } from '../src/auth/token.ts'
import type { Config } from '../src/config.ts'
import type { TokenStep } from './token-report.ts'

type Claims = Record<string, unknown>

/** What each claim is worth with these settings. */
export function claimSteps(claims: Claims, config: Config): TokenStep[] {
  const steps = [
    subStep(claims, config),
    expStep(claims, config),
    startStep(claims, config),
    ...namedStep('aud', claims.aud, config.jwtAudience, 'JWT_AUDIENCE'),
    ...namedStep('iss', claims.iss, [...config.jwtIssuer, ...config.jwtIssuers], 'JWT_ISSUER or JWT_ISSUERS'),
  ]
  const identity = identityFrom(claims, {
    requireExp: false,
    requireSub: config.jwtRequireSub,
    clockToleranceMs: config.jwtClockToleranceMs,
    defaultPermissions: defaultPermissions(config.defaultCan),
  })
  const isNew = typeof identity === 'string' && !steps.some(({ ok, name }) => !ok && identity.includes(name))
  if (isNew) steps.push({ name: 'claims', ok: false, text: identity })
  else steps.push({ name: 'can', ok: true, text: JSON.stringify(claims.can ?? config.defaultCan) })
  return steps
}

function subStep({ sub }: Claims, { jwtRequireSub }: Config): TokenStep {
  if (sub === undefined)
    return { name: 'sub', ok: !jwtRequireSub, text: 'missing; JWT_REQUIRE_SUB=false takes such tokens' }
  return typeof sub === 'string' && sub !== ''
    ? { name: 'sub', ok: true, text: sub }
    : { name: 'sub', ok: false, text: 'it is not a text of 1 to 256 characters' }
}

function expStep({ exp }: Claims, { jwtRequireExp, jwtClockToleranceMs }: Config): TokenStep {
  const name = 'exp'
  if (exp === undefined)
    return { name, ok: !jwtRequireExp, text: 'missing; JWT_REQUIRE_EXP=false takes tokens that never expire' }
  if (typeof exp !== 'number') return { name, ok: false, text: 'it is no number' }
  if (exp > 253_402_300_799)
    return { name, ok: false, text: 'it counts milliseconds, and must count seconds' }
  const leftS = exp + jwtClockToleranceMs / 1000 - Date.now() / 1000
  if (leftS > 0) return { name, ok: true, text: `${timeOf(exp)}, in ${spanOf(leftS)}` }
  return {
    name,
    ok: false,
    text: `expired ${spanOf(-leftS)} ago, ${timeOf(exp)}. If it is new, a clock is wrong`,
  }
}

/** nbf counts; iat says whether the signer's clock is ahead. */
function startStep({ nbf, iat }: Claims, { jwtClockToleranceMs }: Config): TokenStep {
  const nowS = Date.now() / 1000
  if (typeof nbf === 'number' && nbf - jwtClockToleranceMs / 1000 > nowS) {
    const text = `it holds only in ${spanOf(nbf - nowS)}: a clock is wrong, or JWT_CLOCK_TOLERANCE_MS too small`
    return { name: 'nbf', ok: false, text }
  }
  if (typeof iat !== 'number') return { name: 'iat', ok: true, text: 'not said' }
  const aheadS = iat - nowS
  const clock = aheadS > 5 ? `: the signer's clock is ${spanOf(aheadS)} ahead of this one` : ''
  return { name: 'iat', ok: true, text: `${timeOf(iat)}${clock}` }
}

function namedStep(name: string, value: unknown, wanted: string[], setting: string): TokenStep[] {
  if (wanted.length === 0) return []
  const values = Array.isArray(value) ? value : [value]
  const said = value === undefined ? 'missing' : JSON.stringify(value)
  const ok = values.some((one) => wanted.includes(one))
  return [{ name, ok, text: ok ? said : `${said}; ${setting} wants ${wanted.join(' or ')}` }]
}

function timeOf(seconds: number): string {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString()
}

/** In the largest unit that fits. */
export function spanOf(seconds: number): string {
  const [size, unit] = (
    [
      [86_400, 'd'],
      [3600, 'h'],
      [60, 'min'],
    ] as const
  ).find(([one]) => seconds > 0.98 * one) ?? [1, 's']
  return `${Math.round(seconds / size)} ${unit}`
}

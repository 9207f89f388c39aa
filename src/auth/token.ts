import { z } from 'zod'
import { elementsOf } from '../request-head.ts'
import { APP_USER, canClaim, type Identity, Permissions, userName } from './permissions.ts'

/** Seconds; the year 9999, above which a time is a mistake. */
const LATEST_SECONDS = 253_402_300_799

const claims = z.object({
  sub: userName.optional(),
  exp: z.number().positive().max(LATEST_SECONDS).optional(),
  can: canClaim.optional(),
})

/** What a token must have, beyond a signature, audience and issuer that verify. */
export interface ClaimRules {
  requireExp: boolean
  requireSub: boolean
  clockToleranceMs: number
  defaultPermissions: (user: string | undefined) => Permissions
}

/** The user of a token without `sub`, where such tokens are allowed. */
const ANONYMOUS = 'anonymous'

/** What each claim must be; for the log. */
const forms: Record<string, string> = {
  sub: 'sub is not a text of 1 to 256 characters',
  exp: 'exp is not a time in seconds before the year 10000',
  can: 'can is not of its form',
}

/** Turns verified claims into an identity; when they break a rule, returns which. */
export function identityFrom(payload: unknown, rules: ClaimRules): Identity | string {
  const parsed = claims.safeParse(payload)
  if (!parsed.success) return faultOf(parsed.error.issues[0])
  const { sub, exp, can } = parsed.data
  if (rules.requireExp && exp === undefined) return 'exp is missing'
  if (rules.requireSub && sub === undefined) return 'sub is missing'
  if (sub === APP_USER || (sub === ANONYMOUS && !rules.requireSub)) return `the sub ${sub} is nobody's`
  return {
    user: sub ?? ANONYMOUS,
    ...(sub === undefined && { isNameless: true }),
    permissions: can === undefined ? rules.defaultPermissions(sub) : new Permissions(can, sub),
    // Whole: RFC 7519 allows fractions of a second, and clients read this as an integer.
    expiresAt: exp === undefined ? Infinity : Math.floor(exp * 1000 + rules.clockToleranceMs),
  }
}

/** In words for the log. Names of the token's own only where they are plain. */
function faultOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code === 'unrecognized_keys') {
    const names = issue.keys.filter((name) => /^\w{1,32}$/.test(name)).slice(0, 4)
    return `can has words that there are not: ${names.join(', ')}`
  }
  return forms[String(issue?.path[0])] ?? 'its claims are no object'
}

/** The parts of an upgrade request that may carry a token. */
export interface TokenSources {
  query: unknown
  /** Each header of that name: Node keeps the first alone. */
  authorization: string[] | undefined
  protocols: string | undefined
}

/** The request's one token; undefined when there is none, or more than one in whatever places. */
export function tokenOf({ query, authorization, protocols }: TokenSources): string | undefined {
  const found: unknown[] = []
  if (typeof query === 'object' && query !== null && 'token' in query) found.push(query.token)
  for (const header of authorization ?? []) {
    const bearer = /^bearer +(.*)$/i.exec(header)
    if (bearer !== null) found.push(bearer[1])
  }
  for (const name of elementsOf(protocols)) {
    if (name.startsWith('bearer.')) found.push(name.slice('bearer.'.length))
  }
  const [token] = found
  return found.length === 1 && typeof token === 'string' && token !== '' ? token : undefined
}

import { z } from 'zod'
import { isRoomName } from '../protocol/envelope.ts'
import { elementsOf } from '../request-head.ts'
import { APP_USER, canClaim, type Identity, INFO_MAX_BYTES, Permissions, userName } from './permissions.ts'

/** Seconds; the year 9999, above which a time is a mistake. */
const LATEST_SECONDS = 253_402_300_799

/** Rooms that a token may have joined at connect. */
const ROOMS_MAX = 100
/** How deep `info` may be nested: clients' parsers have limits, and so has JSON.stringify. */
const INFO_MAX_NESTING = 16

const time = z.number().positive().max(LATEST_SECONDS)
const claims = z.object({
  sub: userName.optional(),
  exp: time.optional(),
  iat: time.optional(),
  jti: z.string().min(1).max(256).optional(),
  can: canClaim.optional(),
  info: z
    .unknown()
    .refine((value) => isShallow(value, INFO_MAX_NESTING))
    .transform((value) => JSON.stringify(value))
    .refine((text) => Buffer.byteLength(text) <= INFO_MAX_BYTES)
    .optional(),
  rooms: z.array(z.string().refine(isRoomName)).max(ROOMS_MAX).optional(),
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
  iat: 'iat is not a time in seconds before the year 10000',
  jti: 'jti is not a text of 1 to 256 characters',
  can: 'can is not of its form',
  info: `info has more than ${INFO_MAX_BYTES} bytes, or is nested deeper than ${INFO_MAX_NESTING}`,
  rooms: `rooms is not a list of ${ROOMS_MAX} room names at most`,
}

/** Turns verified claims into an identity; when they break a rule, returns which. */
export function identityFrom(payload: unknown, rules: ClaimRules): Identity | string {
  const parsed = claims.safeParse(payload)
  if (!parsed.success) return faultOf(parsed.error.issues[0])
  const { sub, exp, iat, jti, can, info, rooms } = parsed.data
  if (rules.requireExp && exp === undefined) return 'exp is missing'
  if (rules.requireSub && sub === undefined) return 'sub is missing'
  if (sub === APP_USER || (sub === ANONYMOUS && !rules.requireSub)) return `the sub ${sub} is nobody's`
  const permissions = can === undefined ? rules.defaultPermissions(sub) : new Permissions(can, sub)
  if (rooms?.some((room) => !permissions.canJoin(room)) === true) return 'rooms has one that it may not join'
  return {
    user: sub ?? ANONYMOUS,
    ...(sub === undefined && { isNameless: true }),
    permissions,
    // Whole: RFC 7519 allows fractions of a second, and clients read this as an integer.
    expiresAt: exp === undefined ? Infinity : Math.floor(exp * 1000 + rules.clockToleranceMs),
    ...(info !== undefined && { info }),
    ...(rooms !== undefined && { rooms: [...new Set(rooms)] }),
    ...(jti !== undefined && { jti }),
    ...(iat !== undefined && { issuedAtMs: Math.floor(iat * 1000) }),
  }
}

/** Whether a value of JSON is nested `levels` deep at most. */
function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((one) => isShallow(one, levels - 1))
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

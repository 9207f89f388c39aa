import { z } from 'zod'
import { RoomPattern } from '../auth/permissions.ts'
import type { HistoryLimits } from '../bridge/bridge.ts'
import { isStandardSchema, type StandardSchema } from './standard-schema.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** A room whose rule has none of these is looked up in all of them when it opens. */
const MAX_RULES = 1000

function whole(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`
  return z.int(error).min(min, error).max(max, error)
}

function fields<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, { error: faultOfObject })
}

/** Names what does not belong, cut short: it may be anything. */
function faultOfObject(issue: z.core.$ZodRawIssue): string {
  if (issue.code !== 'unrecognized_keys') return 'must be an object'
  const { keys } = issue as unknown as { keys: string[] }
  return `has no field ${JSON.stringify(String(keys[0]).slice(0, 40))}`
}

const presence = fields({
  lingerMs: whole(0, HOUR_MS).default(5000),
  listMax: whole(0, 10_000).default(200),
  intervalMs: whole(10, HOUR_MS).default(100),
})

const perSecond = 'must be a number above 0, 1,000,000 at most'
const rate = fields({
  perSecond: z.number(perSecond).positive(perSecond).max(1_000_000, perSecond),
  burst: whole(1, 1_000_000).optional(),
}).transform(({ perSecond, burst = Math.ceil(perSecond) }) => ({ perSecond, burst }))

const checkedRule = fields({
  match: z.string('must be a room pattern').min(1, 'must be a room pattern').max(256, 'is too long'),
  history: fields({
    size: whole(0, 10_000).optional(),
    ttlMs: whole(1000, DAY_MS).optional(),
    maxBytes: whole(1024, 1024 * 1024 * 1024).optional(),
  }).optional(),
  presence: z.preprocess(
    (value) => (value === true ? {} : value === false ? undefined : value),
    presence.optional(),
  ),
  publish: z.enum(['members', 'server', 'anyone'], 'must be "members", "server" or "anyone"').optional(),
  rate: rate.optional(),
  webhook: z.boolean('must be true or false').optional(),
  trace: z.boolean('must be true or false').optional(),
  content: z
    .custom<StandardSchema>(
      isStandardSchema,
      'must be a Standard Schema, which only an embedding app can give',
    )
    .optional(),
})
type CheckedRule = z.output<typeof checkedRule>

/** Rules as they are given, in either form; those of an object are tried in the order of its keys. */
export const roomRules = z.preprocess(
  listed,
  z.array(checkedRule, 'must be a list of rules').max(MAX_RULES, `must be ${MAX_RULES} rules at most`),
)

function listed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.entries(value).map(([match, rule]) =>
    typeof rule === 'object' && rule !== null && !Array.isArray(rule)
      ? { ...rule, match: 'match' in rule ? undefined : match }
      : rule,
  )
}

/** Where in the rules a fault is, as their giver would write it: `[2].history.size`. */
export function placeInRules(path: readonly PropertyKey[], given: unknown): string {
  const [index, ...rest] = path
  if (index === undefined) return ''
  const keys = typeof given === 'object' && given !== null && !Array.isArray(given) ? Object.keys(given) : []
  const key = keys[Number(index)]
  const rule = key === undefined ? String(index) : JSON.stringify(key.slice(0, 40))
  return [`[${rule}]`, ...rest.map(String)].join('.')
}

/** What holds for a room. Units are in the names. */
export interface RoomRule {
  /** The pattern of its rooms. */
  readonly match: string
  /** Complete: what the rule does not name has the default settings. */
  readonly history: HistoryLimits
  /** Undefined: nobody is told who is in the room. */
  readonly presence: PresenceRule | undefined
  /** Who may publish: `server` is the app that embeds the hub, and the API. */
  readonly publish: 'members' | 'server' | 'anyone'
  /** Of one client into one such room, beside the limit on all its frames. */
  readonly rate: { readonly perSecond: number; readonly burst: number } | undefined
  /** Whether receivers of webhooks are told of its messages. */
  readonly webhook: boolean
  /** Whether members see each message's `traceparent`. */
  readonly trace: boolean
  readonly content: StandardSchema | undefined
}
export type PresenceRule = Readonly<z.output<typeof presence>>

/** The settings that hold where a rule says nothing. */
export interface RuleDefaults {
  historySize: number
  historyTtlMs: number
  historyMaxBytes: number
}

/** All rules, in order; the first whose pattern fits holds. */
export class RoomRules {
  readonly #default: RoomRule
  readonly #rules: { pattern: RoomPattern; rule: RoomRule }[]

  constructor(rules: readonly CheckedRule[], defaults: RuleDefaults) {
    this.#default = ruleFrom({ match: '*', presence: undefined }, defaults)
    this.#rules = rules.map((one) => ({
      pattern: new RoomPattern(one.match, '$user'),
      rule: ruleFrom(one, defaults),
    }))
  }

  /** Looks at each pattern: ask once when a room opens, not for each message. */
  ruleOf(room: string): RoomRule {
    return this.#rules.find(({ pattern }) => pattern.matches(room))?.rule ?? this.#default
  }
}

function ruleFrom(
  {
    match,
    history,
    presence,
    publish = 'members',
    rate,
    webhook = false,
    trace = false,
    content,
  }: CheckedRule,
  { historySize, historyTtlMs, historyMaxBytes }: RuleDefaults,
): RoomRule {
  const { size = historySize, ttlMs = historyTtlMs, maxBytes = historyMaxBytes } = history ?? {}
  const kept = { size, ttlMs, maxBytes }
  return Object.freeze({ match, history: kept, presence, publish, rate, webhook, trace, content })
}

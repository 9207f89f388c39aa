import type { StandardSchema } from './standard-schema.ts'

/** A rule as an app gives it; what it does not name has the default settings (docs/PROTOCOL.md, *Rules of rooms*). */
export interface RuleInput {
  readonly history?: { readonly size?: number; readonly ttlMs?: number; readonly maxBytes?: number }
  readonly presence?:
    | boolean
    | { readonly lingerMs?: number; readonly listMax?: number; readonly intervalMs?: number }
  readonly publish?: 'members' | 'server' | 'anyone'
  /** `burst` is `perSecond` where it is not given. */
  readonly rate?: { readonly perSecond: number; readonly burst?: number }
  readonly content?: StandardSchema
}

/** By room pattern, or a list of rules with their patterns; either way the first that fits a room's name holds. */
export type RulesInput =
  | Readonly<Record<string, RuleInput>>
  | readonly (RuleInput & { readonly match: string })[]

import type { StandardSchema } from './standard-schema.ts'

/** A rule as an app gives it; what it does not name has the default settings (docs/PROTOCOL.md, *Rules of rooms*). */
export interface RuleInput {
  readonly history?:
    | {
        readonly size?: number | undefined
        readonly ttlMs?: number | undefined
        readonly maxBytes?: number | undefined
      }
    | undefined
  readonly presence?:
    | boolean
    | {
        readonly lingerMs?: number | undefined
        readonly listMax?: number | undefined
        readonly intervalMs?: number | undefined
      }
    | undefined
  readonly publish?: 'members' | 'server' | 'anyone' | undefined
  /** `burst` is `perSecond` where it is not given. */
  readonly rate?: { readonly perSecond: number; readonly burst?: number | undefined } | undefined
  readonly content?: StandardSchema | undefined
}

/** By room pattern, or a list of rules with their patterns; either way the first that fits a room's name holds. */
export type RulesInput =
  | Readonly<Record<string, RuleInput>>
  | readonly (RuleInput & { readonly match: string })[]

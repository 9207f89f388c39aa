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
  readonly webhook?: boolean | undefined
  readonly trace?: boolean | undefined
  /** A promise of its checks must not reject: zod begins such a check twice, and forgets the first (docs/HOOKS.md). */
  readonly content?: StandardSchema | undefined
}

/** By room pattern, or a list of rules with their patterns; either way the first that fits a room's name holds. */
export type RulesInput =
  | Readonly<Record<string, RuleInput>>
  | readonly (RuleInput & { readonly match: string })[]

/**
 * For the compiler alone: declare your rules in it, and `app.hub.publish` knows what each room takes (docs/BUILD.md,
 * *Rules for rooms*): `declare module 'roomcast' { interface Register { rules: typeof rules } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be added to.
export interface Register {}

type RegisteredRules = Register extends { rules: infer Rules extends RulesInput }
  ? Rules
  : Record<never, RuleInput>

/** The names that a pattern fits: `*` is any text. */
type Names<Pattern> = Pattern extends `${infer Head}*${infer Rest}`
  ? `${Head}${string}${Names<Rest>}`
  : Pattern

type Takes<Rule> = Rule extends { content: StandardSchema<infer Input> } ? Input : unknown

/** Of a list, the first that fits. */
type InList<Rules, Room> = Rules extends readonly [infer First extends { match: string }, ...infer Rest]
  ? Room extends Names<First['match']>
    ? Takes<First>
    : InList<Rest, Room>
  : unknown

/** Of an object, whose keys have no order for the compiler, the pattern that fits the fewest names. */
type Fitting<Rules, Room> = { [Key in keyof Rules]: Room extends Names<Key> ? Key : never }[keyof Rules]
type Closest<Keys> = { [Key in Keys & string]: [Other<Keys, Key>] extends [never] ? Key : never }[Keys &
  string]
/** Another of the keys that fits fewer names. */
type Other<Keys, Key> = Keys extends Key ? never : Names<Keys> extends Names<Key> ? Keys : never

/** What may be published to a room, by the rules; unknown where they say nothing, or the room's name is not known. */
export type ContentOf<Room extends string, Rules = RegisteredRules> = string extends Room
  ? unknown
  : Rules extends readonly unknown[]
    ? InList<Rules, Room>
    : [Fitting<Rules, Room>] extends [never]
      ? unknown
      : Takes<Rules[Closest<Fitting<Rules, Room>> & keyof Rules]>

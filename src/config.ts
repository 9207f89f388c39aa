import type { z } from 'zod'
import { placeInRules } from './rules/room-rules.ts'
import type { RulesInput } from './rules/rules-input.ts'
import { splitList } from './setting-kinds.ts'
import { settings } from './settings.ts'

/** The settings, checked and complete. */
export type Config = Readonly<z.output<typeof settings>>
/** The settings as an app may give them: each as itself or in the environment's text form. ROOM_RULES are `rules`. */
export type ConfigInput = {
  readonly [Key in Exclude<keyof Config, 'roomRules'>]?: Config[Key] | string | undefined
} & { readonly rules?: RulesInput | string | undefined }

const MAX_FAULTS = 20

/** A setting has a value that cannot be honoured; the message names each as its giver does, never a value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** maxClients → MAX_CLIENTS */
export function variableName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

/** Reads the settings from environment variables; an empty variable counts as unset. Throws ConfigError. */
export function configFromEnv(env: NodeJS.ProcessEnv = process.env): Config {
  const input: Record<string, string | string[]> = {}
  for (const key of Object.keys(settings.shape)) {
    const value = env[variableName(key)]?.trim()
    if (value !== undefined && value !== '') input[key] = value
  }
  // An app has arrays for several, so there a string is one secret.
  if (typeof input.jwtSecret === 'string') input.jwtSecret = splitList(input.jwtSecret)
  return checked(input, variableName)
}

/** The variables of this process, for those who look for misspelt ones. */
export function environment(): NodeJS.ProcessEnv {
  return process.env
}

/** Puts values in the place of environment variables: what flags say goes before. */
export function setVariables(values: Record<string, string>): void {
  Object.assign(process.env, values)
}

/** Completes and checks settings given as an object. Throws ConfigError, also for names that there are not. */
export function configFrom({ rules, ...input }: ConfigInput): Config {
  const unknown = Object.keys(input).filter((key) => !(key in settings.shape) || key === 'roomRules')
  if (unknown.length > 0) throw new ConfigError(`${unknown.join(', ')}: no such setting`)
  return checked({ ...input, roomRules: rules }, (key) => (key === 'roomRules' ? 'rules' : key))
}

function checked(input: Record<string, unknown>, nameOf: (key: string) => string): Config {
  const result = settings.safeParse(input)
  if (result.success) return Object.freeze(result.data)
  const faults = result.error.issues.map(({ path: [key = 'settings', ...path], message }) => {
    const place = key === 'roomRules' ? placeInRules(path, input.roomRules) : ''
    return `${nameOf(String(key))}${place}: ${message}`
  })
  // Of a long list of rules that are all wrong, a few will do.
  throw new ConfigError(faults.slice(0, MAX_FAULTS).join('; '))
}

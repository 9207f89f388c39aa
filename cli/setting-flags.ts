import { type Command, Option } from 'commander'
import { z } from 'zod'
import { setVariables, variableName } from '../src/config.ts'
import { settings } from '../src/settings.ts'

/** The part of JSON Schema that the settings use. */
interface Property {
  type?: string
  description?: string
  default?: unknown
  enum?: string[]
}

/** Adds the settings as flags, from their own table: maxClients is --max-clients. `isWanted` leaves others out. */
export function addSettingFlags(command: Command, isWanted = (_key: string) => true): Command {
  const { properties } = z.toJSONSchema(settings, { io: 'output', unrepresentable: 'any' })
  for (const [key, property] of Object.entries(properties as Record<string, Property>))
    if (isWanted(key)) command.addOption(flagOf(key, property))
  return command
}

/** --max-clients for maxClients. */
export function flagName(key: string): string {
  return `--${variableName(key).toLowerCase().replaceAll('_', '-')}`
}

/** Puts the flags that were given in the place of their environment variables. */
export function applySettingFlags(values: Record<string, unknown>): void {
  const given = Object.entries(values).filter(([key, value]) => key in settings.shape && value !== undefined)
  setVariables(Object.fromEntries(given.map(([key, value]) => [variableName(key), String(value)])))
}

function flagOf(key: string, { type, description = '', enum: choices }: Property): Option {
  const about = `${variableName(key)}: ${description}`
  if (type === 'boolean') return new Option(`${flagName(key)} [true|false]`, about).preset('true')
  if (choices !== undefined) return new Option(`${flagName(key)} <value>`, about).choices(choices)
  return new Option(`${flagName(key)} <${type === 'integer' ? 'number' : 'value'}>`, about)
}

import { Command, InvalidArgumentError } from 'commander'
import { APP_USER, type Can, canClaim, userName } from '../../src/auth/permissions.ts'
import { configFromEnv } from '../../src/config.ts'
import { type DevClaims, devToken } from '../../src/dev-token.ts'
import { withKeyMaterial } from '../../src/service.ts'
import { Failure } from '../failure.ts'
import { duration, json, room } from '../values.ts'

interface Flags {
  user: string
  can?: Can
  ttl: number
  rooms?: string[]
  info?: unknown
  json?: true
}

/** `roomcast token`: signs a token with JWT_SECRET, or with the secret that a server made in this folder. */
export function tokenCommand(): Command {
  return new Command('token')
    .description(
      'Print a token for development, signed with JWT_SECRET, or with the secret that a server made in this folder. ' +
        'Unless --can says otherwise its holder may join, publish and broadcast everywhere.',
    )
    .option('--user <name>', 'whose it is', toUser, 'dev')
    .option('--can <json>', 'what the holder may do, as {"join":["news"],"publish":[]}', toCan)
    .option('--ttl <time>', 'how long it holds: seconds, or such as 15m, 12h, 7d', duration, 12 * 3600)
    .option('--rooms <name...>', 'rooms that the holder joins by connecting')
    .option('--info <json>', 'public data of the user', json)
    .option('--json', 'print {token, user, expiresAt}')
    .addHelpText('after', '\nExample:\n  $ roomcast token --user ada --ttl 1h --can \'{"join":["news"]}\'')
    .action(printToken)
}

function printToken(flags: Flags): void {
  const { user, ttl: seconds, rooms } = flags
  const token = signed(user, { ...flags, seconds, rooms: rooms?.map(room) })
  const expiresAt = new Date((Math.floor(Date.now() / 1000) + seconds) * 1000).toISOString()
  process.stdout.write(`${flags.json === undefined ? token : JSON.stringify({ token, user, expiresAt })}\n`)
}

/** A token of a server with the settings of this environment. */
export function signed(user: string, claims: DevClaims = {}): string {
  const { config, devSecret } = withKeyMaterial(configFromEnv())
  if (devSecret !== undefined && devSecret.file === undefined)
    throw new Failure('no JWT_SECRET is set, and this folder cannot keep the one that the server made')
  return devToken(config, user, claims)
}

/** The name of a user. */
export function toUser(text: string): string {
  if (!userName.safeParse(text).success || text === APP_USER)
    throw new InvalidArgumentError(`A user has 1 to 256 characters, and is not ${APP_USER}.`)
  return text
}

function toCan(text: string): Can {
  const can = canClaim.safeParse(json(text))
  if (!can.success)
    throw new InvalidArgumentError('It is as the claim can: {"join":[…],"publish":[…],"broadcast":true}.')
  return can.data
}

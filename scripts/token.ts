// Prints a token for a user of the server that is started here: `npm run --silent token -- --user ada`.
import { parseArgs } from 'node:util'
import { APP_USER, canClaim, userName } from '../src/auth/permissions.ts'
import { configFromEnv } from '../src/config.ts'
import { devToken } from '../src/dev-token.ts'
import { withKeyMaterial } from '../src/service.ts'

/** Prints what is wrong, and ends. */
function fail(message: string): never {
  process.stderr.write(`${message}\nusage: npm run --silent token -- --user NAME [--can JSON]\n`)
  process.exit(1)
}

/** undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

try {
  const { user, can } = parseArgs({
    options: { user: { type: 'string', default: 'dev' }, can: { type: 'string' } },
  }).values
  if (!userName.safeParse(user).success || user === APP_USER)
    fail(`a user has 1 to 256 characters, and is not ${APP_USER}`)
  const allowed = can === undefined ? undefined : canClaim.safeParse(parsed(can))
  if (allowed?.success === false)
    fail('--can is JSON as the claim can: {"join":[…],"publish":[…],"broadcast":true}')
  const { config, devSecret } = withKeyMaterial(configFromEnv())
  if (devSecret !== undefined && devSecret.file === undefined)
    fail('no JWT_SECRET is set, and this folder cannot keep the one that the server made')
  process.stdout.write(`${devToken(config, user, allowed?.data)}\n`)
} catch (error) {
  fail((error as Error).message)
}

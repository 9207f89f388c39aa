// Prints a token for a user of the server that is started here: `npm run --silent token -- --user ada`.
import { parseArgs } from 'node:util'
import { APP_USER, userName } from '../src/auth/permissions.ts'
import { configFromEnv } from '../src/config.ts'
import { devToken } from '../src/dev-token.ts'
import { withKeyMaterial } from '../src/service.ts'

/** Prints what is wrong, and ends. */
function fail(message: string): never {
  process.stderr.write(`${message}\nusage: npm run --silent token -- --user NAME\n`)
  process.exit(1)
}

try {
  const { user } = parseArgs({ options: { user: { type: 'string', default: 'dev' } } }).values
  if (!userName.safeParse(user).success || user === APP_USER)
    fail(`a user has 1 to 256 characters, and is not ${APP_USER}`)
  const { config, devSecret } = withKeyMaterial(configFromEnv())
  if (devSecret !== undefined && devSecret.file === undefined)
    fail('no JWT_SECRET is set, and this folder cannot keep the one that the server made')
  process.stdout.write(`${devToken(config, user)}\n`)
} catch (error) {
  fail((error as Error).message)
}

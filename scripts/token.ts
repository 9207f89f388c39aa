// Prints a token for a user of the server that is started here: `npm run --silent token -- --user ada`.
import { parseArgs } from 'node:util'
import { configFromEnv } from '../src/config.ts'
import { devToken } from '../src/dev-token.ts'
import { withKeyMaterial } from '../src/service.ts'

const { user } = parseArgs({ options: { user: { type: 'string', default: 'dev' } } }).values
const { config, devSecret } = withKeyMaterial(configFromEnv())
if (devSecret !== undefined && devSecret.file === undefined) {
  throw new Error('no JWT_SECRET is set, and this folder cannot keep the one that the server made')
}
process.stdout.write(`${devToken(config, user)}\n`)

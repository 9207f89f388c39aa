import { randomBytes } from 'node:crypto'
import { linkSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verificationKeys } from './auth/keys.ts'
import type { Can } from './auth/permissions.ts'
import { signToken } from './auth/sign-token.ts'
import { type Config, ConfigError } from './config.ts'

/** Where a server without key material keeps its secret, below the folder that it is started in. */
const FOLDER = '.roomcast'
/** How long a token lasts that is printed. */
const TOKEN_SECONDS = 12 * 60 * 60
const everything: Can = { join: ['*'], publish: ['*'], broadcast: true }
const SECRET = /^[\w-]{43}$/

/** A server's own secret, and the file that it is kept in; undefined when it lasts until the server stops. */
export interface DevSecret {
  secret: string
  file: string | undefined
}

/** The secret that was made at the first start in this folder, so that a page survives a restart; or a new one. */
export function devSecret(): DevSecret {
  const made = randomBytes(32).toString('base64url')
  const file = join(FOLDER, 'dev-secret')
  try {
    mkdirSync(FOLDER, { mode: 0o700, recursive: true })
    // Somebody else's may have links in it, to files of ours.
    if (!isOurs(FOLDER)) return { secret: made, file: undefined }
    // What is in it is nobody's to commit, in whatever project this is.
    writeFileSync(join(FOLDER, '.gitignore'), '*\n')
    keep(made, file)
    const secret = isOurs(file) ? readFileSync(file, 'utf8') : ''
    if (SECRET.test(secret)) return { secret, file }
  } catch {
    // A folder that cannot be written to is as good a place to start in as any.
  }
  return { secret: made, file: undefined }
}

/** Writes the secret unless there is one; at once, since another server may be starting beside this one. */
function keep(secret: string, file: string): void {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, secret, { mode: 0o600 })
  try {
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft)
  }
}

/** In a folder that all may write to, such as /tmp, somebody else may have put a secret there that he knows. */
function isOurs(path: string): boolean {
  const { uid, mode } = lstatSync(path)
  return uid === process.getuid?.() && (mode & 0o077) === 0
}

/** What a token may say beside its user. */
export interface DevClaims {
  can?: Can | undefined
  seconds?: number | undefined
  info?: unknown
  rooms?: string[] | undefined
}

/** A token for a user, good for half a day and for everything, unless told otherwise. ConfigError without a secret. */
export function devToken(config: Config, user: string, more: DevClaims = {}): string {
  const { can = everything, seconds = TOKEN_SECONDS, info, rooms } = more
  const [key] = verificationKeys(config)
  if (key === undefined || key.key.startsWith('-----BEGIN'))
    throw new ConfigError('JWT_SECRET: none to sign with')
  const claims = {
    sub: user,
    exp: Math.floor(Date.now() / 1000) + seconds,
    ...(config.jwtAudience.length > 0 && { aud: config.jwtAudience[0] }),
    can,
    ...(info !== undefined && { info }),
    ...(rooms !== undefined && { rooms }),
    ...(config.jwtIssuer.length > 0 && { iss: config.jwtIssuer[0] }),
  }
  return signToken(claims, key.key, key.algorithms[0] as 'HS256')
}

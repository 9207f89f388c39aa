import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { z } from 'zod'
import { canClaim } from './auth/permissions.ts'
import { parseRedisUrl } from './bridge/redis-url.ts'
import { keyOf } from './hooks/signature.ts'
import { roomRules } from './rules/room-rules.ts'

// Values come as text from the environment, or as themselves from an embedding app.

/** A whole number in this range, both ends included. */
export function integer(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`
  const parse = (value: unknown) =>
    typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
  return z.preprocess(parse, z.int(error).min(min, error).max(max, error))
}

/** True or false. */
export function flag() {
  const words = new Map<unknown, boolean>([
    ['true', true],
    ['1', true],
    ['false', false],
    ['0', false],
  ])
  return z.preprocess((value) => words.get(value) ?? value, z.boolean('must be true or false'))
}

/** Several values; in text they are separated by spaces or commas. */
export function list<Entry extends z.ZodType = z.ZodString>(entry: Entry = z.string().min(1) as never) {
  const split = (value: unknown) => (typeof value === 'string' ? splitList(value) : value)
  return z.preprocess(split, z.array(entry))
}

/** What a variable with several values holds. */
export function splitList(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '')
}

/** A passphrase in a variable is taken for as many secrets as it has words; words must not sign tokens. */
const SECRET_OF_SEVERAL_MIN_BYTES = 16

/** Secrets for tokens; a string is one. */
export const secrets = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z
    .array(z.string().min(1))
    .refine(
      (all) => all.length < 2 || all.every((one) => Buffer.byteLength(one) >= SECRET_OF_SEVERAL_MIN_BYTES),
      {
        error: `of several secrets each must have ${SECRET_OF_SEVERAL_MIN_BYTES} bytes or more; spaces and commas in a variable separate them`,
      },
    ),
)

/** The signatures that tokens may have (RFC 7518). */
export const algorithm = z.enum([
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
])

/** PEM blocks one behind the other; \n may stand for a line break, as environment files need it. */
export const publicKeys = z.preprocess(
  (value) => (typeof value === 'string' ? (value.replaceAll('\\n', '\n').match(pemBlock) ?? [value]) : value),
  z.array(z.string().regex(/^-----BEGIN (RSA )?PUBLIC KEY-----/, 'must be public keys in PEM form')),
)
const pemBlock = /-----BEGIN [A-Z ]+-----[\s\S]+?-----END [A-Z ]+-----/g

/** An address of a key server: http or https, without anything that is not part of a name. */
export const keyAddress = z.string().refine(isKeyAddress, {
  error: 'must be http or https addresses without user, password or fragment',
})

function isKeyAddress(value: string): boolean {
  if (!URL.canParse(value)) return false
  const { protocol, username, password, hash } = new URL(value)
  return /^https?:$/.test(protocol) && username + password + hash === ''
}

/** Permissions, in the form of a token's claim `can`. */
export const canJson = z.preprocess((value, context) => {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    context.addIssue({ code: 'custom', message: 'must be JSON' })
    return z.NEVER
  }
}, canClaim)

const FILE_MAX_BYTES = 1024 * 1024

/** Rules of rooms: as themselves, as JSON, or `@` and the name of a file of JSON. */
export const roomRulesJson = z.preprocess(jsonOrFile, roomRules)

function jsonOrFile(value: unknown, context: z.RefinementCtx): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value.startsWith('@') ? smallFile(value.slice(1)) : value)
  } catch (error) {
    const isText = error instanceof SyntaxError || error instanceof RangeError
    context.addIssue({
      code: 'custom',
      message: isText
        ? 'must be JSON, or @ and the name of a file of JSON'
        : `the file cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
    })
    return z.NEVER
  }
}

/** A back end's key, and what it may do; without `can`, everything. */
const apiKey = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'has 1 to 64 letters, digits and . _ -'),
  secret: z.string().regex(/^[!-~]{16,512}$/, 'has 16 to 512 characters of ASCII'),
  can: canClaim.optional(),
})
export type ApiKey = z.infer<typeof apiKey>

/** Keys of the API: as themselves, as JSON, `@` and the name of a file of JSON, or `name:secret` one behind the other. */
export const apiKeys = z.preprocess(
  (value, context) => {
    if (typeof value !== 'string' || /^\s*[[@]/.test(value)) return jsonOrFile(value, context)
    return splitList(value).map((entry) => {
      const [name, ...secret] = entry.split(':')
      return { name, secret: secret.join(':') }
    })
  },
  z
    .array(apiKey)
    .refine((keys) => areUnique(keys.map(({ name }) => name)), 'no two may have one name')
    .refine((keys) => areUnique(keys.map(({ secret }) => secret)), 'no two may have one secret'),
)

const areUnique = (values: string[]) => new Set(values).size === values.length

function smallFile(name: string): string {
  if (statSync(name).size > FILE_MAX_BYTES) throw new Error('larger than 1 MiB')
  return readFileSync(name, 'utf8')
}

/** A page's origin, as browsers send it. */
export const origin = z.string().refine(isOrigin, {
  error:
    'must be origins as browsers send them, e.g. https://example.com: no path, no slash at the end, no default port, no wildcard, in lower case and xn-- form; or file://, or the word null',
})

function isOrigin(value: string): boolean {
  if (value === 'null' || value === 'file://') return true
  if (/^https?:/.test(value)) return isWebOrigin(value)
  // Extensions and apps have schemes of their own. Pages of these here have another origin, or there are none.
  return /^(?!(wss?|ftp|file|blob|data|about):)[a-z][a-z0-9+.-]*:\/\/((?![/?#*@\\])[!-~])*$/.test(value)
}

/** What no browser can be at is refused too: URL takes hosts that no name server could know, such as `*.example.com`. */
function isWebOrigin(value: string): boolean {
  if (!URL.canParse(value)) return false
  const { origin, hostname, port } = new URL(value)
  const isHost = hostname.startsWith('[') || /^(?!.{254})([\w-]{1,63}\.)*[\w-]{1,63}\.?$/.test(hostname)
  return origin === value && isHost && port !== '0'
}

/** Whom to believe about a client's address. */
export const proxy = z.string().refine(isProxy, {
  error:
    'must be addresses or CIDR ranges of your proxies, or loopback, linklocal, uniquelocal (a hop count or "true" cannot be honoured safely)',
})

function isProxy(value: string): boolean {
  if (/^(loopback|linklocal|uniquelocal)$/.test(value)) return true
  const [address = '', bits, ...more] = value.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0) return false
  return (
    bits === undefined ||
    (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128))
  )
}

/** The address of Redis, as text. */
export const redisAddress = z.string().superRefine((url, context) => {
  try {
    parseRedisUrl(url)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
  }
})

/** Where hooks are asked. */
export const hookAddress = z.string().refine(isHookAddress, {
  error: 'must be a URL of http or https, without a user or a fragment',
})

function isHookAddress(value: string): boolean {
  if (!URL.canParse(value)) return false
  const { protocol, username, password, hash } = new URL(value)
  return /^https?:$/.test(protocol) && username + password + hash === ''
}

/** Signs what is sent to a back end. */
export const webhookSecret = z.string().refine((secret) => keyOf(secret) !== undefined, {
  error: 'must be whsec_ and the base64 of 24 to 64 bytes, of Standard Webhooks',
})

import { createHmac } from 'node:crypto'

/** A secret of Standard Webhooks: base64 of 24 to 64 bytes behind this. */
const PREFIX = 'whsec_'

/** The key in a secret; undefined for what is none. */
export function keyOf(secret: string): Buffer | undefined {
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(secret)) return undefined
  const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
  return key.length >= 24 && key.length <= 64 ? key : undefined
}

/**
 * The headers that prove who sent a body, as standardwebhooks.com has it. Signed with each key, so that secrets can be
 * rotated. `seconds` is Unix time.
 */
export function signatureHeaders(keys: readonly Buffer[], id: string, seconds: number, body: string) {
  const signed = `${id}.${seconds}.${body}`
  const signatures = keys.map((key) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  }
}

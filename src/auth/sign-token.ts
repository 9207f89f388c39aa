import { createHmac } from 'node:crypto'

/** Signs a token with a secret (RFC 7515), for a first start; tokens of real users come from your own app. */
export function signToken(
  claims: object,
  secret: string,
  algorithm: 'HS256' | 'HS384' | 'HS512' = 'HS256',
): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const body = `${encode({ alg: algorithm, typ: 'JWT' })}.${encode(claims)}`
  return `${body}.${createHmac(`sha${algorithm.slice(2)}`, secret)
    .update(body)
    .digest('base64url')}`
}

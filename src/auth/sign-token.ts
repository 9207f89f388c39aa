import { createHmac } from 'node:crypto'

/** Signs an HS256 token (RFC 7515), for a first start and for examples; tokens of real users come from your own app. */
export function signToken(claims: object, secret: string): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`
}

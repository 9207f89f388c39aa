// An OpenID Connect issuer on the loopback: discovery, a key set, and tokens; it can misbehave.
import type { KeyObject } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type Claims, keyPair, tokenFor } from './token.ts'

type Alg = 'RS256' | 'ES256' | 'EdDSA'
/** What it does instead of an answer. */
export type Mischief = (response: ServerResponse, url: string) => void

export const AUDIENCE = 'roomcast'

export class Issuer {
  url = ''
  /** What the key set holds. */
  jwks: unknown[] = []
  /** For all requests; undefined for an honest issuer. */
  mischief: Mischief | undefined
  /** How often the key set was asked for. */
  reads = 0
  readonly #private = new Map<string, { alg: Alg; key: KeyObject }>()
  readonly #server = createServer((request, response) => {
    const url = request.url ?? ''
    if (url.startsWith('/keys')) this.reads++
    if (this.mischief !== undefined) this.mischief(response, url)
    else if (url === '/.well-known/openid-configuration')
      response.end(JSON.stringify({ issuer: this.url, jwks_uri: this.keysUrl }))
    else if (url === '/keys') response.end(JSON.stringify({ keys: this.jwks }))
    else response.writeHead(404).end()
  })

  get keysUrl(): string {
    return `${this.url}/keys`
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Makes a key and publishes it; without an id in the set where `kid` is ''. */
  addKey(kid: string, alg: Alg = 'ES256', isPublished = true): object {
    const { privateKey, publicKey } = keyPair(alg)
    this.#private.set(kid, { alg, key: privateKey })
    const jwk = { ...publicKey.export({ format: 'jwk' }), use: 'sig', alg, ...(kid !== '' && { kid }) }
    if (isPublished) this.jwks.push(jwk)
    return jwk
  }

  /** A token signed by one of its keys; `kid` '' for one that names none. */
  token(sub: string, kid: string, claims: Claims = {}, named = kid): string {
    const { alg, key } = this.#private.get(kid) as { alg: Alg; key: KeyObject }
    const header = named === '' ? {} : { kid: named }
    return tokenFor(sub, { iss: this.url, aud: AUDIENCE, ...claims }, { alg, key, header })
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

/** Starts one that ends with the test. */
export async function startIssuer(t: Test): Promise<Issuer> {
  const issuer = new Issuer()
  await issuer.listen()
  t.teardown(() => issuer.close())
  return issuer
}

// A certificate for 127.0.0.1 that only who is told to trusts.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export interface Certificate {
  /** Files in PEM form. */
  cert: string
  key: string
  /** The environment of a node that trusts it. */
  trust: Record<string, string>
}

/** Makes one that is gone with the test. */
export function makeCertificate(t: Test): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=roomcast test', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', ['req', '-x509', ...kind, ...names, '-keyout', key, '-out', cert], {
    stdio: 'pipe',
  })
  return { cert, key, trust: { NODE_EXTRA_CA_CERTS: cert } }
}

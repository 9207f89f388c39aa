// The suites of heartbeat, slow clients and drain, with a server that speaks TLS.
import t from 'tap'
import { makeCertificate } from '../support/certificate.ts'

const { cert, key } = makeCertificate(t)
process.env.TEST_TLS_CERT = cert
process.env.TEST_TLS_KEY = key

await import('../cases/lifecycle.test.ts')
await import('../cases/backpressure.test.ts')
await import('../cases/shutdown.test.ts')

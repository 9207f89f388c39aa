// Has the servers of this process's tests speak TLS; imported before the suite.
import t from 'tap'
import { makeCertificate } from './certificate.ts'

const { cert, key } = makeCertificate(t)
process.env.TEST_TLS_CERT = cert
process.env.TEST_TLS_KEY = key

// The suite of slow clients, with a server that speaks TLS.
import '../support/over-tls.ts'
import '../cases/backpressure.test.ts'

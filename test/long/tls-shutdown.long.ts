// The suite of the drain, with a server that speaks TLS.
import '../support/over-tls.ts'
import '../cases/shutdown.test.ts'

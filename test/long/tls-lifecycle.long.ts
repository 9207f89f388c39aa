// The suite of heartbeat, with a server that speaks TLS.
import '../support/over-tls.ts'
import '../cases/lifecycle.test.ts'

// Loaded before the server's own code: its HTTP server is one with TLS, as an embedding app's may be.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

const { TEST_TLS_CERT, TEST_TLS_KEY } = process.env
const secrets = { cert: readFileSync(TEST_TLS_CERT), key: readFileSync(TEST_TLS_KEY) }
http.createServer = (options, handler) => https.createServer({ ...options, ...secrets }, handler)

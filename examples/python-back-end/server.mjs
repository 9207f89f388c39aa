// Starts roomcast beside the back end, with the secrets that they share.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const port = process.env.PORT ?? '3000'
const roomcastPort = process.env.ROOMCAST_PORT ?? String(Number(port) + 1)
const secret = () => randomBytes(32).toString('base64url')
const shared = {
  ...process.env,
  JWT_SECRET: secret(),
  API_SECRET: secret(),
  HOOK_SECRET: `whsec_${randomBytes(32).toString('base64')}`,
}
const roomcast = {
  ...shared,
  HOST: '127.0.0.1',
  PORT: roomcastPort,
  CLIENT_JS: 'true',
  LOG_LEVEL: 'warn',
  API_KEYS: `python:${shared.API_SECRET}`,
  HOOK_URL: `http://127.0.0.1:${port}/roomcast`,
  HOOKS: 'join,call',
}
const backEnd = { ...shared, PORT: port, ROOMCAST_URL: `http://127.0.0.1:${roomcastPort}` }
const path = (name) => fileURLToPath(new URL(name, import.meta.url))

const programs = []
const stop = () => {
  for (const program of programs) program.kill()
}
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop)

/** Starts one of the two; one without the other is of no use. */
function start(command, file, env) {
  const program = spawn(command, [path(file)], { env, stdio: 'inherit' })
  programs.push(program)
  program.once('exit', stop).once('error', (error) => {
    console.error(error.message)
    stop()
  })
  return program
}

const server = start(process.execPath, '../../dist/src/server.js', roomcast)
// The page loads its client from there.
while (
  server.exitCode === null &&
  !(await fetch(`${backEnd.ROOMCAST_URL}/health/live`).catch(() => undefined))
)
  await delay(50)
if (server.exitCode === null) start('python3', 'back_end.py', backEnd)

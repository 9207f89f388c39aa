import type { z } from 'zod'
import * as envelope from './envelope.ts'
import { jsonSchemaOf } from './json-schema.ts'
import { toClient } from './outbound.ts'

/** What a client sends, by type. */
const toServer = {
  join: envelope.joinRequest,
  leave: envelope.leaveRequest,
  message: envelope.messageRequest,
  history: envelope.historyRequest,
  presence: envelope.presenceRequest,
  refresh: envelope.refreshRequest,
  ping: envelope.pingRequest,
  call: envelope.callRequest,
} satisfies { [Type in envelope.RequestType]: z.ZodType<{ type: Type }> }

const query = (properties: Record<string, string>) => ({
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(properties).map(([name, description]) => [name, { type: 'string', description }]),
  ),
})
const token = 'A JWT; or as `Authorization: Bearer`, or in `Sec-WebSocket-Protocol`.'
const since = 'The positions to recover from, in the form of the ids of a stream.'

/** The sockets of this version as an AsyncAPI 3.0 document, as the server has them: it receives what clients send. */
export function asyncApi(version: string): object {
  const requests = messages('request', toServer, 'input')
  const envelopes = messages('envelope', toClient, 'output')
  const refs = (all: object) => Object.fromEntries(Object.keys(all).map((name) => [name, refTo(name)]))
  const operation = (action: 'send' | 'receive', channel: string, all: object) => ({
    ...{ action, channel: { $ref: `#/channels/${channel}` } },
    messages: Object.keys(all).map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` })),
  })
  return {
    asyncapi: '3.0.0',
    info: { title: 'roomcast', version, license: { name: 'MIT' } },
    defaultContentType: 'application/json',
    servers: { node: { host: 'localhost:8080', protocol: 'ws' } },
    channels: {
      socket: {
        ...{ address: '/ws', title: 'A WebSocket', messages: { ...refs(requests), ...refs(envelopes) } },
        bindings: { ws: { method: 'GET', query: query({ token, since }) } },
      },
      stream: {
        ...{ address: '/sse', title: 'Server-sent events', messages: refs(envelopes) },
        description: 'The query has `token`, `room` (several), `last`, `presence` and `since`.',
      },
    },
    operations: {
      receiveRequest: operation('receive', 'socket', requests),
      sendEnvelope: operation('send', 'socket', envelopes),
      sendEvent: operation('send', 'stream', envelopes),
    },
    components: { messages: { ...requests, ...envelopes } },
  }
}

const refTo = (name: string) => ({ $ref: `#/components/messages/${name}` })

/** `message` and others go both ways, so each has a prefix. */
function messages(prefix: string, schemas: Record<string, z.ZodType>, io: 'input' | 'output') {
  return Object.fromEntries(
    Object.entries(schemas).map(([type, schema]) => [
      `${prefix}.${type}`,
      { name: type, payload: jsonSchemaOf(schema, io, 'draft-7') },
    ]),
  )
}

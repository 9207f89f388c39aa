import { z } from 'zod'
import * as api from './api.ts'
import { jsonSchemaOf } from './json-schema.ts'

/** One thing that can be asked of the API. */
export interface Operation {
  method: 'get' | 'post' | 'delete'
  /** Below `/api/v1`. */
  path: string
  summary: string
  query?: z.ZodObject
  body?: z.ZodType
  /** Whether the body may be left out. */
  isBodyOptional?: boolean
  answer: z.ZodType
}

/** All that there is to ask, in the order of docs/BACKENDS.md. */
export const operations: readonly Operation[] = [
  {
    ...{ method: 'post', path: '/rooms/{room}/messages', summary: 'Publishes to a room' },
    ...{ body: api.publishBody, answer: api.published },
  },
  {
    ...{ method: 'post', path: '/messages', summary: 'Publishes to rooms, to users, or to everybody' },
    body: z.union([api.sendBody, z.array(api.sendBody).min(1).max(api.TARGETS)]),
    answer: z.union([api.sent, api.sentList]),
  },
  {
    ...{ method: 'get', path: '/rooms', summary: 'Rooms by name, in pages' },
    ...{ query: api.roomsQuery, answer: api.roomsPage },
  },
  { method: 'get', path: '/rooms/{room}', summary: 'One room', answer: api.roomAnswer },
  {
    ...{ method: 'get', path: '/rooms/{room}/members', summary: 'Who is in a room' },
    answer: api.membersAnswer,
  },
  {
    ...{ method: 'get', path: '/rooms/{room}/messages', summary: "A room's history" },
    ...{ query: api.historyQuery, answer: api.historyAnswer },
  },
  {
    ...{ method: 'delete', path: '/rooms/{room}/members/{user}', summary: 'Removes a user from a room' },
    answer: api.acted,
  },
  { method: 'get', path: '/users/{user}', summary: "A user's clients", answer: api.userAnswer },
  {
    ...{ method: 'post', path: '/users/{user}/disconnect', summary: "Ends a user's clients with 4403" },
    ...{ body: api.disconnectBody, isBodyOptional: true, answer: api.acted },
  },
  {
    ...{ method: 'post', path: '/users/{user}/revoke', summary: "Revokes a user's tokens" },
    ...{ body: api.revokeUserBody, isBodyOptional: true, answer: api.acted },
  },
  {
    ...{ method: 'post', path: '/tokens/{jti}/revoke', summary: 'Revokes one token' },
    ...{ body: api.revokeTokenBody, isBodyOptional: true, answer: api.acted },
  },
  { method: 'get', path: '/clients/{client}', summary: "A client's figures", answer: api.clientAnswer },
  {
    ...{ method: 'post', path: '/clients/{client}/disconnect', summary: 'Ends a client with 4403' },
    ...{ body: api.disconnectBody, isBodyOptional: true, answer: api.acted },
  },
  { method: 'get', path: '/cluster', summary: 'The nodes', answer: api.clusterAnswer },
]

/** The API of this version as an OpenAPI 3.1 document. */
export function openApi(version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of operations) {
    const path = paths[operation.path] ?? {}
    path[operation.method] = described(operation)
    paths[operation.path] = path
  }
  return {
    openapi: '3.1.0',
    info: { title: 'roomcast', version, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/api/v1' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The secret of an API key, or a JWT.' },
      },
      responses: {
        problem: {
          description: 'Not done; `code` says why.',
          content: { 'application/problem+json': { schema: jsonSchemaOf(api.problem, 'output') } },
        },
      },
    },
  }
}

function described({ method, path, summary, query, body, isBodyOptional, answer }: Operation): object {
  return {
    operationId: `${method}${path.replace(/[{}]/g, '').replace(/\/(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    parameters: [...inPath(path), ...(query === undefined ? [] : inQuery(query))],
    ...(body !== undefined && {
      requestBody: {
        required: isBodyOptional !== true,
        content: { 'application/json': { schema: jsonSchemaOf(body, 'input') } },
      },
    }),
    responses: {
      200: {
        description: 'Done.',
        content: { 'application/json': { schema: jsonSchemaOf(answer, 'output') } },
      },
      default: { $ref: '#/components/responses/problem' },
    },
  }
}

function inPath(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    ...{ name, in: 'path', required: true },
    schema: { type: 'string' },
  }))
}

function inQuery(query: z.ZodObject): object[] {
  const { properties = {} } = jsonSchemaOf(query, 'input') as { properties?: Record<string, object> }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }))
}

import { check, section } from '../check.ts'
import { expectTrue, shown } from '../expect.ts'
import { api, apiAs, BACKENDS, expectProblem, granted, messagesOf } from './api.ts'

export const apiErrors = section(
  'Errors',
  [
    check('no secret, and a wrong one, are 401 unauthorized', async (visit) => {
      await granted(visit, '/cluster')
      expectProblem(await apiAs(visit, undefined, '/cluster', {}), 401, 'unauthorized')
      expectProblem(await apiAs(visit, 'not-the-secret-of-any-key', '/cluster', {}), 401, 'unauthorized')
      const path = messagesOf(visit.room())
      expectProblem(await apiAs(visit, undefined, path, { body: { content: 1 } }), 401, 'unauthorized')
    }),
    check('a path that is none is 404 not_found', async (visit) => {
      expectProblem(await api(visit, '/nothing'), 404, 'not_found')
    }),
    check('a method that is not allowed is 405, and Allow names those that are', async (visit) => {
      const answer = await api(visit, messagesOf(visit.room()), { method: 'PUT', body: {} })
      expectProblem(answer, 405, 'method_not_allowed')
      const allow = String(answer.headers.allow)
      expectTrue(allow.includes('GET') && allow.includes('POST'), `Allow is ${allow}`)
    }),
    check('a body that is no application/json is 415', async (visit) => {
      const headers = { 'Content-Type': 'text/plain' }
      const answer = await api(visit, messagesOf(visit.room()), { headers, body: { content: 1 } })
      expectProblem(answer, 415, 'unsupported_media_type')
    }),
    check('a content above the limit is 413 too_large', async (visit) => {
      await granted(visit, '/cluster')
      const limit = Number((await visit.connect()).welcome.maxMessageBytes)
      const body = { content: 'x'.repeat(limit + 8192) }
      expectProblem(await api(visit, messagesOf(visit.room()), { body }), 413, 'too_large')
    }),
    check('openapi.json describes the API, without a key', async (visit) => {
      await granted(visit, '/cluster')
      const { status, body } = await apiAs(visit, undefined, '/openapi.json', {})
      const isIt = status === 200 && String(body.openapi).startsWith('3.')
      expectTrue(isIt, `the answer is ${status}: ${shown(body)}`)
    }),
  ],
  BACKENDS,
)

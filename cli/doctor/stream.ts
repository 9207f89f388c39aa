import type { IncomingMessage } from 'node:http'
import { type Finding, fail, ok, warn } from '../finding.ts'
import { begin } from './http.ts'

/** An event that the node sends at once must be here by then. */
const SOON_MS = 3000

/** Whether events come over HTTP as they are sent: a proxy that buffers keeps them back. */
export function checkStream(url: string, token: string): Promise<Finding[]> {
  const name = 'stream'
  return new Promise((resolve) => {
    const request = begin(`${url}/sse?token=${encodeURIComponent(token)}`, {
      accept: 'text/event-stream',
      'accept-encoding': 'gzip',
    })
    const give = (...findings: Finding[]) => {
      clearTimeout(timer)
      resolve(findings)
      request.destroy()
    }
    const mend =
      'have the proxy pass it on at once (nginx: proxy_buffering off; gzip off for text/event-stream)'
    let response: IncomingMessage | undefined
    const timer = setTimeout(() => {
      const what = response === undefined ? 'the answer' : 'the first event'
      give(fail('buffering', `${what} of an event stream is kept back for ${SOON_MS / 1000} s`, mend))
    }, SOON_MS)
    request.on('error', ({ message }) =>
      give(warn(name, `GET /sse fails: ${message}`, 'see the proxy, and the log of the node')),
    )
    request.on('response', (came) => {
      response = came
      const { statusCode, headers } = came
      if (statusCode !== 200)
        return give(
          warn(
            name,
            `GET /sse is ${statusCode}: who cannot have a WebSocket has nothing`,
            'pass /sse on to the node',
          ),
        )
      if (headers['content-encoding'] !== undefined)
        return give(
          fail('buffering', `the proxy compresses event streams (${headers['content-encoding']})`, mend),
        )
      came.once('data', () => give(ok(name, 'events come at once over HTTP, too')))
    })
    request.end()
  })
}

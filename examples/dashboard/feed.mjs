import { loadavg } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

const EVERY_MS = 1000

/** Publishes what there is to show, once a second, until `signal` says stop. */
export async function feed(url, secret, signal) {
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }
  while (!signal.aborted) {
    const content = {
      load: loadavg()[0],
      memory: process.memoryUsage().rss,
      orders: Math.round(Math.random() * 9),
    }
    try {
      const answer = await fetch(`${url}/api/v1/rooms/metrics/messages`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ content }),
        signal,
      })
      if (!answer.ok) console.error(`not published: ${answer.status} ${await answer.text()}`)
      await delay(EVERY_MS, undefined, { signal })
    } catch (error) {
      if (signal.aborted) return
      console.error(`not published: ${error.message}`)
      await delay(EVERY_MS, undefined, { signal }).catch(() => {})
    }
  }
}

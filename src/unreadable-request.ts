import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

/** By the parser's code, or a method that Node does not give out as a request; any other is a 400. */
const faults: Record<string, [status: number, message: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request was not complete in time'],
  HPE_HEADER_OVERFLOW: [431, 'the target and the headers are too large'],
  CONNECT: [400, 'this is no proxy'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions are too large'],
}

/**
 * Answers what Node does not give out as a request, and ends the connection. Returns the status; undefined when
 * nobody is there to be answered.
 */
export function answerUnreadable(reason: string, socket: Socket): number | undefined {
  // Destroyed by a reset, or ended by an earlier call and still sending.
  if (!socket.writable) return undefined
  const [status, message] = faults[reason] ?? [400, 'this is no valid HTTP request']
  // In the middle of an earlier answer another would be read as a part of it.
  if (!(socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage?.headersSent)
    socket.write(answer(status, message))
  socket.destroySoon()
  return status
}

function answer(status: number, message: string): string {
  const body = JSON.stringify({ error: 'bad_request', message })
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
}

import { pino } from 'pino'

/** Lines that the reader of standard output has not taken. What is beyond is dropped: a log must not cost the server. */
const LOG_MAX_BYTES = 4 * 1024 * 1024
/** The last lines have this long to be taken. */
const LAST_LINES_MS = 100

export type LogStream = ReturnType<typeof pino.destination>

/** Standard output, never waited for. */
export function openLogStream(): LogStream {
  // Touched, a pipe does not block any more: else a thread would stay in write(2), and the process with it, for as long
  // as nobody reads.
  process.stdout.on('error', ignore)
  const stream = pino.destination({ dest: 1, sync: false, maxLength: LOG_MAX_BYTES })
  // A full disk or a terminal that is gone costs log lines, never the server.
  stream.on('error', ignore)
  return stream
}

function ignore(): void {}

/**
 * To be awaited before process.exit. What nobody takes is given up: pino's own flush on exit would try for ever when
 * the reader is gone.
 */
export async function closeLogStream(stream: LogStream): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, LAST_LINES_MS)
    stream.once('drain', resolve)
  })
  stream.destroy()
}

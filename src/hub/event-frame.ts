/** A frame's own text starts behind its header, which is as long as RFC 6455 section 5.2 has it. */
function textOf(frame: Buffer): Buffer {
  const length = (frame[1] as number) & 0x7f
  return frame.subarray(length < 126 ? 2 : length === 126 ? 4 : 10)
}

const EVENT = Buffer.from('event: ')
const DATA = Buffer.from('\ndata: ')
const END = Buffer.from('\n')
/** Every envelope's text begins so; its name ends at the next quote. */
const TYPE_AT = '{"type":"'.length
const QUOTE = 34
const LINE_FEED = 10
const CARRIAGE_RETURN = 13

/** Events by the WebSocket frames of the same envelopes, for as long as those are in use. */
const events = new WeakMap<Buffer, Buffer>()

/**
 * The event of an envelope, but for its id and the empty line that ends it. Made once for all streams that get the
 * frame, and only when there is one.
 */
export function eventOf(frame: Buffer): Buffer {
  let event = events.get(frame)
  if (event === undefined) {
    const text = textOf(frame)
    const type = text.subarray(TYPE_AT, text.indexOf(QUOTE, TYPE_AT))
    event = Buffer.concat([EVENT, type, DATA, inOneLine(text), END])
    events.set(frame, event)
  }
  return event
}

/** The same with its id and its end, for streams of one room: all that are at the same place share it. */
export function eventWithId(frame: Buffer, epoch: string, id: () => string): Buffer {
  const known = wholeEvents.get(frame)
  if (known?.epoch === epoch) return known.event
  const event = Buffer.concat([eventOf(frame), Buffer.from(`id: ${id()}\n\n`)])
  wholeEvents.set(frame, { epoch, event })
  return event
}
const wholeEvents = new WeakMap<Buffer, { epoch: string; event: Buffer }>()

/** The envelope that a frame holds. */
export function envelopeOf(frame: Buffer): Record<string, unknown> {
  return JSON.parse(textOf(frame).toString()) as Record<string, unknown>
}

/** What stands behind the head of a message's text: `,"offset":12}`; undefined where there is none. */
export function offsetOf(frame: Buffer): number | undefined {
  const tail = frame.toString('latin1', Math.max(0, frame.length - OFFSET_MAX_CHARS))
  const [, offset] = /,"offset":(\d+)\}$/.exec(tail) ?? []
  return offset === undefined ? undefined : Number(offset)
}
const OFFSET_MAX_CHARS = 32

/** A line break in a sender's JSON is white space between its parts: elsewhere JSON has none. */
function inOneLine(text: Buffer): Buffer {
  if (!text.includes(LINE_FEED) && !text.includes(CARRIAGE_RETURN)) return text
  return Buffer.from(text.map((byte) => (byte === LINE_FEED || byte === CARRIAGE_RETURN ? 32 : byte)))
}

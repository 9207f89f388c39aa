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

/** What streams get of an envelope, made once for all of them, and only when there is one. */
export class EventFrame {
  /** The message's place in its room's history; undefined where there is none. */
  readonly offset: number | undefined
  /** But for its id and the empty line that ends it. */
  readonly event: Buffer
  #whole: Buffer | undefined
  #epoch: string | undefined

  constructor(frame: Buffer) {
    const text = textOf(frame)
    const type = text.subarray(TYPE_AT, text.indexOf(QUOTE, TYPE_AT))
    this.offset = offsetOf(frame)
    this.event = Buffer.concat([EVENT, type, DATA, inOneLine(text), END])
  }

  /** The same with its id and its end, for streams of one room: all that are at the same place share it. */
  whole(epoch: string, id: () => string): Buffer {
    if (this.#whole === undefined || this.#epoch !== epoch) {
      this.#whole = Buffer.concat([this.event, Buffer.from(`id: ${id()}\n\n`)])
      this.#epoch = epoch
    }
    return this.#whole
  }
}

/** By the WebSocket frames of the same envelopes, for as long as those are in use. */
const events = new WeakMap<Buffer, EventFrame>()

/** What streams get of the envelope in a frame. */
export function eventFrameOf(frame: Buffer): EventFrame {
  let event = events.get(frame)
  if (event === undefined) {
    event = new EventFrame(frame)
    events.set(frame, event)
  }
  return event
}

/** The envelope that a frame holds. */
export function envelopeOf(frame: Buffer): Record<string, unknown> {
  return JSON.parse(textOf(frame).toString()) as Record<string, unknown>
}

/** What stands behind the head of a message's text: `,"offset":12}`; undefined where there is none. */
function offsetOf(frame: Buffer): number | undefined {
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

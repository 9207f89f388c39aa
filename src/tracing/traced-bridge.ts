import { type Attributes, SpanKind, type Tracer } from '@opentelemetry/api'
import type { Bridge, BridgeFigures, BridgeHost, Note, Publication, ReplayRequest } from '../bridge/bridge.ts'

/** A bridge whose waits for Redis are spans; what needs no wait is none. */
export class TracedBridge implements Bridge {
  readonly #bridge: Bridge
  readonly #tracer: Tracer
  readonly figures?: BridgeFigures

  constructor(bridge: Bridge, tracer: Tracer) {
    this.#bridge = bridge
    this.#tracer = tracer
    if (bridge.figures !== undefined) this.figures = bridge.figures
  }

  publish(publication: Publication) {
    return this.#traced('publish', 'send', publication.room, () => this.#bridge.publish(publication))
  }

  subscribe(room: string) {
    return this.#traced('subscribe', undefined, room, () => this.#bridge.subscribe(room))
  }

  replay(room: string, request: ReplayRequest) {
    return this.#traced('replay', 'receive', room, () => this.#bridge.replay(room, request))
  }

  start(host: BridgeHost) {
    this.#bridge.start(host)
  }

  whenUp(ms: number) {
    return this.#bridge.whenUp(ms)
  }

  unsubscribe(room: string) {
    this.#bridge.unsubscribe(room)
  }

  tell(text: string, to?: string) {
    return this.#bridge.tell(text, to)
  }

  others() {
    return this.#bridge.others()
  }

  keep(notes: readonly Note[]) {
    return this.#bridge.keep(notes)
  }

  readNotes() {
    return this.#bridge.readNotes()
  }

  status() {
    return this.#bridge.status()
  }

  cluster() {
    return this.#bridge.cluster()
  }

  close() {
    return this.#bridge.close()
  }

  #traced<Done>(
    name: string,
    type: 'send' | 'receive' | undefined,
    room: string | undefined,
    run: () => Done | Promise<Done>,
  ): Done | Promise<Done> {
    const startTime = Date.now()
    const done = run()
    if (!(done instanceof Promise)) return done
    const attributes: Attributes = {
      'messaging.system': this.#bridge.status().kind,
      'messaging.operation.name': name,
      ...(type !== undefined && { 'messaging.operation.type': type }),
      ...(room !== undefined && { 'messaging.destination.name': room }),
    }
    const span = this.#tracer.startSpan(`bridge ${name}`, { kind: SpanKind.CLIENT, startTime, attributes })
    return done.finally(() => span.end())
  }
}

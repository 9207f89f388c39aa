import { ProxyTracerProvider, type Tracer, trace } from '@opentelemetry/api'
import { version } from '../version.ts'

/** The tracer of the SDK that the process has set up before roomcast; undefined without one, and then nothing is traced. */
export function activeTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider()
  const isEmpty =
    provider instanceof ProxyTracerProvider && provider.getDelegateTracer('roomcast', version) === undefined
  return isEmpty ? undefined : provider.getTracer('roomcast', version)
}

export { probe } from './probe.ts'
export { openStream } from './stream.ts'

// A peer of the benchmark with the fault that the path names: it meets one member, with the fifth message. A query
// makes it another room.
import { createServer } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'

const AT = '"s":5,'
const server = createServer()
const rooms = new Map<string, Room>()

class Room {
  readonly #fault: string
  readonly #members = new Set<WebSocket>()
  #held: string | undefined

  constructor(fault: string) {
    this.#fault = fault
  }

  join(socket: WebSocket): void {
    this.#members.add(socket)
    socket.send('{"type":"joined"}')
  }

  publish(sender: WebSocket, text: string): void {
    const [first, ...others] = [...this.#members].filter((member) => member !== sender)
    for (const member of others) member.send(text)
    if (first === undefined) return
    if (text.includes(AT)) this.#misdeliver(sender, first, text)
    else first.send(text)
    if (this.#held === undefined || text === this.#held) return
    first.send(this.#held)
    this.#held = undefined
  }

  #misdeliver(sender: WebSocket, first: WebSocket, text: string): void {
    if (this.#fault === '/swap') this.#held = text
    else if (this.#fault === '/close') first.close()
    else if (this.#fault !== '/drop') first.send(text)
    if (this.#fault === '/twice') first.send(text)
    if (this.#fault === '/echo') sender.send(text)
  }
}

new WebSocketServer({ server }).on('connection', (socket, { url = '/' }) => {
  const room = rooms.get(url) ?? new Room(url.split('?')[0] ?? url)
  rooms.set(url, room)
  socket.on('message', (data) => {
    const text = String(data)
    if (text.includes('"join"')) room.join(socket)
    else room.publish(socket, text)
  })
})

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ listening: server.address() })))

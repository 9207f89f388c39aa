// A page of react.test.ts: two components that use one room, under StrictMode.
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { connect } from 'roomcast-client'
import { usePresence, useRoom } from 'roomcast-client/react'

const token = () => fetch('/token').then((answer) => answer.text())
const hub = connect<{ '*': string }>('/', { token })

function Chat({ name }: { name: string }) {
  const { messages, isJoined, publish } = useRoom(hub, name, { last: 10, keep: 3 })
  return (
    <section>
      <p id="state">{isJoined ? 'joined' : 'waiting'}</p>
      <ul>
        {messages.map(({ content, offset }) => (
          <li key={offset}>{content}</li>
        ))}
      </ul>
      <button type="button" id="say" onClick={() => publish('hello from React')} />
    </section>
  )
}

function Here({ name }: { name: string }) {
  const { users, count } = usePresence(hub, name)
  return <p id="here">{`${count}: ${users?.map(({ user }) => user).sort()}`}</p>
}

function Page() {
  const [room, setRoom] = useState<string | undefined>('r')
  return (
    <main>
      {room !== undefined && <Chat name={room} />}
      {room !== undefined && <Here name={room} />}
      <button type="button" id="other" onClick={() => setRoom('other')} />
      <button type="button" id="none" onClick={() => setRoom(undefined)} />
    </main>
  )
}

const main = document.body.appendChild(document.createElement('div'))
createRoot(main).render(
  <StrictMode>
    <Page />
  </StrictMode>,
)

import { type FormEvent, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { connect } from 'roomcast-client'
import { usePresence, useRoom } from 'roomcast-client/react'

type Change = { added: string } | { done: string }

const user = new URLSearchParams(location.search).get('user') ?? 'guest'
// One for the page, outside components.
const hub = connect<{ 'tasks.*': Change }>(location.origin, {
  token: async () => (await fetch(`/token?user=${encodeURIComponent(user)}`)).text(),
})

function Tasks() {
  const { messages, isJoined, error, publish } = useRoom(hub, 'tasks.today', { last: 100, presence: true })
  const { users = [] } = usePresence(hub, 'tasks.today')
  if (error) return <p role="alert">{error.message}</p>

  const add = (form: FormData) => publish({ added: String(form.get('task')) })
  return (
    <main aria-busy={!isJoined}>
      <h1>Today</h1>
      <p>Here: {users.map((present) => present.user).join(', ')}</p>
      <ul>
        {openTasks(messages.map(({ content }) => content)).map((task) => (
          <li key={task}>
            {task}{' '}
            <button type="button" onClick={() => publish({ done: task }).catch(tell)}>
              Done
            </button>
          </li>
        ))}
      </ul>
      <form
        onSubmit={(event: FormEvent<HTMLFormElement>) => {
          event.preventDefault()
          add(new FormData(event.currentTarget)).catch(tell)
          event.currentTarget.reset()
        }}
      >
        <input name="task" aria-label="Task" required /> <button type="submit">Add</button>
      </form>
    </main>
  )
}

/** The list is what the room's messages make of it. */
function openTasks(changes: Change[]): string[] {
  const open = new Set<string>()
  for (const change of changes) {
    if ('added' in change) open.add(change.added)
    else open.delete(change.done)
  }
  return [...open]
}

const tell = ({ message }: Error) => alert(`not sent: ${message}`)

createRoot(document.querySelector('#root') as Element).render(
  <StrictMode>
    <Tasks />
  </StrictMode>,
)

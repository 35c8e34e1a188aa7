// What reads streams in the tests' pages. Each item is told to the test by `tell`, which the test has put there.
import { readStream } from "/stream_client.js"

/** Reads with the browser's own EventSource. */
export function listen(address, types, withCredentials) {
  const source = new EventSource(address, { withCredentials })
  for (const type of types) {
    source.addEventListener(type, (event) => tell("item", { id: event.lastEventId, type: event.type, data: event.data }))
  }
  source.addEventListener("open", () => tell("state", "open"))
  source.addEventListener("error", () => tell("state", source.readyState === EventSource.CLOSED ? "closed" : "waiting"))
}

/** Reads with the client, of which the test says the address. `reading` is how to end it. */
export async function read(options) {
  const aborting = new AbortController()
  const { signal } = aborting
  const items = readStream(address, { ...options, signal, onState: (state) => tell("state", state) })
  window.reading = { items, abort: (reason) => aborting.abort(reason) }
  try {
    for await (const item of items) tell("item", item)
    tell("ending", "returned")
  } catch (error) {
    tell("ending", error.name)
  }
}

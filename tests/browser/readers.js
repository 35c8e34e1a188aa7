// What reads streams in the tests' pages. Each item is told to the test by `tell`, which the test has put there.
import { readStream } from "/static/stream_client.js"

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

/** What EventSource dispatches of an address until it is answered by 204. */
export function dispatched(address, types) {
  return new Promise((resolve) => {
    const source = new EventSource(address)
    const events = []
    for (const type of types) {
      source.addEventListener(type, (event) => events.push([event.lastEventId, event.type, event.data]))
    }
    source.addEventListener("error", () => source.readyState === EventSource.CLOSED && resolve(events))
  })
}

/** The same by the client. */
export async function parsed(address) {
  const events = []
  for await (const item of readStream(async () => address)) {
    if (item.kind === "event") events.push([item.id, item.type, item.data])
  }
  return events
}

/**
 * The same of bytes that are cut in two at every place in turn, and everywhere, with the position with which the client
 * comes back. Chunks of the network cannot be chosen, so that these are a response in place of it.
 */
export async function parsedInParts(bytes) {
  const body = Uint8Array.from(bytes)
  const everyPlace = [...body.keys()].slice(1)
  const cuts = [...everyPlace.map((place) => [0, place]), [...body.keys()]]
  const runs = cuts.map((starts) => ({ parts: starts.map((start, i) => body.slice(start, starts[i + 1])), position: null }))
  const network = window.fetch
  window.fetch = async (url) => {
    const run = runs[url.hash.slice(1)]
    if (run.parts === null) {
      run.position = url.searchParams.get("last_event_id") ?? ""
      return new Response(null, { status: 204 })
    }
    const { parts } = run
    run.parts = null
    const stream = new ReadableStream({
      start(controller) {
        // A service worker may pass on a chunk without a byte.
        for (const part of parts) for (const chunk of [part, new Uint8Array()]) controller.enqueue(chunk)
        controller.close()
      },
    })
    return new Response(stream, { headers: { "content-type": "text/event-stream" } })
  }
  try {
    return await Promise.all(runs.map(async (run, number) => [await parsed(`/#${number}`), run.position]))
  } finally {
    window.fetch = network
  }
}

/**
 * Reads an event stream of pendingctl in a browser: each event once and in order, over as many connections as it takes.
 *
 *     const address = signal => fetch("/address", { signal }).then(answer => answer.json())
 *     for await (const item of readStream(address)) show(item)
 *
 * EventSource has one address, does not say that it was refused, gives no type that nobody listens for, and stays on a
 * connection on which nothing comes any more.
 *
 * @typedef {{kind: "event", id: string, type: string, data: string}
 *   | {kind: "gap", id: string, from: number, to: number}
 *   | {kind: "reset", id: string}
 *   | {kind: "end", id: string}} StreamItem  `id` is the position behind it.
 */

/** The person may not read the stream. */
export class StreamDenied extends Error {
  name = "StreamDenied"
}

// A quiet stream has a comment every 15 s.
const SILENCE_MS = 45_000
// Until the server says after how long to come back.
const RETRY_MS = 2_000
const FIRST_BACK_OFF_MS = 500
const LONGEST_BACK_OFF_MS = 30_000
// A proxy may ask for hours, by a clock that is wrong too.
const LONGEST_RETRY_AFTER_MS = 300_000
// A longer timer is none: it ends at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1
// Where a key is being replaced, a new ticket may be refused by a pod that does not know it yet.
const REFUSED = [401, 403, 404]
const MOST_REFUSALS = 3

/** @type {RequestInit} */
const REQUEST = { headers: { Accept: "text/event-stream" }, cache: "no-store" }

/**
 * Read a stream until its end.
 *
 * Nothing is read ahead of the loop, but for what came together. Leaving the loop closes the connection; while the loop
 * waits for an item, only `signal` does.
 *
 * @param {(signal: AbortSignal) => Promise<string | URL | null>} address  Returns the URL of the stream with a ticket, null
 *   where the person may not read it. It is asked at first, and again whenever that URL has not opened the stream. Where
 *   it throws, returns anything else, or takes 45 s, it is asked again; the console has its errors. Its signal aborts
 *   once nobody waits for it.
 * @param {object} [options]
 * @param {string | null} [options.after]  The `id` of the item to begin behind.
 * @param {AbortSignal} [options.signal]  Ends it at once, wherever it is: its reason is thrown.
 * @param {RequestCredentials} [options.credentials]  "include" sends cookies to another origin.
 * @param {(state: "connecting" | "open" | "waiting") => void} [options.onState]  Told where it is, for people to see.
 * @returns {AsyncGenerator<StreamItem, void, void>}  Gaps and resets among the events; the end comes last.
 * @throws {StreamDenied}  Where `address` returns null, or three of its URLs in a row are answered by 401, 403 or 404.
 * @throws {TypeError}  Where a string that it returns can be no URL.
 */
export async function* readStream(address, { after, signal, credentials = "same-origin", onState } = {}) {
  let position = after ?? undefined
  let retry = RETRY_MS
  /** @type {string | URL | null | undefined} */
  let url
  let failures = 0
  let refusals = 0
  for (;;) {
    let pause
    const attempt = new Attempt(signal)
    try {
      onState?.("connecting")
      const isFresh = url === undefined
      url ??= await attempt.hear(() => Promise.race([addressFrom(address, attempt.signal), aborted(attempt.signal)]))
      if (url === null) throw new StreamDenied("the program that makes the address says that this may not be read")
      const target = url === undefined ? undefined : addressBehind(url, position)
      const response =
        target && (await attempt.hear(() => fetch(target, { ...REQUEST, credentials, signal: attempt.signal })))
      if (response?.status === 204) {
        yield { kind: "end", id: position ?? "" }
        return
      }
      if (response?.status === 200 && isEventStream(response) && response.body) {
        failures = refusals = 0
        onState?.("open")
        const parser = new Parser(position)
        const reader = response.body.getReader()
        let read
        while ((read = await attempt.hear(() => reader.read())) && !read.done) {
          for (const item of parser.take(read.value)) {
            yield item
            if (item.kind === "end") return
            signal?.throwIfAborted()
          }
        }
        position = parser.position
        retry = parser.retry ?? retry
        pause = retry
      } else {
        refusals = response && isFresh && REFUSED.includes(response.status) ? refusals + 1 : 0
        if (refusals === MOST_REFUSALS) throw new StreamDenied(`the stream was refused with ${response?.status}`)
        url = undefined
        // Not at the moment that a proxy names to all of them.
        pause = retryAfter(response) + backOff(failures++)
      }
    } finally {
      attempt.end()
    }
    onState?.("waiting")
    if (await wait(pause, signal)) failures = 0
  }
}

/** One attempt to read, from the question for an address to the end of the response. */
class Attempt {
  #ending = new AbortController()
  #caller

  /** @param {AbortSignal} [caller]  Ends the attempt as well. */
  constructor(caller) {
    caller?.throwIfAborted()
    this.#caller = caller
    caller?.addEventListener("abort", () => this.end(), { signal: this.signal })
  }

  get signal() {
    return this.#ending.signal
  }

  end() {
    this.#ending.abort()
  }

  /**
   * Return what work brings; undefined where it fails, and where it takes so long that its connection counts as dead.
   *
   * @template T
   * @param {() => Promise<T>} work  Ends with the attempt.
   * @returns {Promise<T | undefined>}
   */
  async hear(work) {
    const silence = setTimeout(() => this.end(), SILENCE_MS)
    let brought
    try {
      brought = await work()
    } catch {
      // The next attempt may bring more.
    }
    clearTimeout(silence)
    this.#caller?.throwIfAborted()
    return brought
  }
}

/** Takes the body of one response apart, as the HTML standard has it (9.2.6, "Interpreting an event stream"). */
class Parser {
  /** @type {number | undefined} */
  retry
  #decoder = new TextDecoder()
  #line = ""
  #endedByCR = false
  #type = ""
  #data = ""
  #id

  /** @param {string | undefined} position  What an event without an id is behind. */
  constructor(position) {
    this.position = position
    this.#id = position
  }

  /**
   * Return the items that end within these bytes, wherever they were cut.
   *
   * @param {Uint8Array} bytes
   * @returns {Generator<StreamItem, void, void>}
   */
  *take(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true })
    // Else a line end that began before it would be forgotten.
    if (text === "") return
    if (this.#endedByCR && text.startsWith("\n")) text = text.slice(1)
    this.#endedByCR = text.endsWith("\r")
    let start = 0
    for (const end of text.matchAll(/\r\n?|\n/g)) {
      const line = this.#line + text.slice(start, end.index)
      this.#line = ""
      start = end.index + end[0].length
      if (line !== "") this.#field(line)
      else if (this.#dispatches()) yield this.#item()
    }
    this.#line += text.slice(start)
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":")
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1)
    if (name === "event") this.#type = value
    else if (name === "data") this.#data += `${value}\n`
    else if (name === "id" && !value.includes("\0")) this.#id = value
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value)
  }

  /** Take the position, which moves also where nothing is to be dispatched: the server's first has no data. */
  #dispatches() {
    this.position = this.#id
    if (this.#data === "") this.#type = ""
    return this.#data !== ""
  }

  /** @returns {StreamItem} */
  #item() {
    const type = this.#type || "message"
    const data = this.#data.slice(0, -1)
    const id = this.position ?? ""
    this.#type = this.#data = ""
    if (type === "pendingctl.gap") return { kind: "gap", id, ...JSON.parse(data) }
    if (type === "pendingctl.reset") return { kind: "reset", id }
    if (type === "pendingctl.end") return { kind: "end", id }
    return { kind: "event", id, type, data }
  }
}

/** @param {(signal: AbortSignal) => Promise<string | URL | null>} address @param {AbortSignal} signal */
async function addressFrom(address, signal) {
  try {
    const url = await address(signal)
    // An error that a program has sent in JSON would be fetched as `[object Object]`, and be refused.
    if (typeof url === "string" || url instanceof URL || url === null) return url
    throw new TypeError("the program that makes the address returns none")
  } catch (error) {
    // A mistake in that program would be seen by nobody.
    if (!signal.aborted) console.warn("The address of a stream is asked for again:", error)
    throw error
  }
}

/** @param {string | URL} address @param {string | undefined} position */
function addressBehind(address, position) {
  const url = new URL(address, globalThis.document?.baseURI ?? globalThis.location?.href)
  // In the query: a header of one's own would have the browser ask first whether it may send it.
  if (position !== undefined) url.searchParams.set("last_event_id", position)
  return url
}

/** @param {Response} response */
function isEventStream(response) {
  const type = response.headers.get("content-type") ?? ""
  return type.split(/[;,]/)[0].trim().toLowerCase() === "text/event-stream"
}

/**
 * Return for how many milliseconds a response asks not to be asked again, 0 if it does not (RFC 9110, section 10.2.3).
 *
 * @param {Response} [response]
 */
function retryAfter(response) {
  const asked = response?.headers.get("retry-after") ?? ""
  // A date is one by the clock of whoever sends it.
  const now = Date.parse(response?.headers.get("date") ?? "") || Date.now()
  const milliseconds = /^[0-9]+$/.test(asked) ? Number(asked) * 1_000 : Date.parse(asked) - now
  return Math.min(Math.max(milliseconds || 0, 0), LONGEST_RETRY_AFTER_MS)
}

/** @param {number} failures */
function backOff(failures) {
  // Readers who lost the same pod do not come back at the same time.
  return Math.min(FIRST_BACK_OFF_MS * 2 ** failures, LONGEST_BACK_OFF_MS) * (0.5 + Math.random() / 2)
}

/**
 * Wait so long, or until the browser is online again or the signal aborts.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<boolean>}  Whether the browser is online again.
 */
function wait(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = new AbortController()
    const end = (isOnline = false) => {
      clearTimeout(timer)
      over.abort()
      resolve(isOnline)
    }
    const timer = setTimeout(end, Math.min(milliseconds, LONGEST_TIMER_MS))
    signal?.addEventListener("abort", () => end(), { signal: over.signal })
    globalThis.addEventListener?.("online", () => end(true), { signal: over.signal })
    if (signal?.aborted) end()
  })
}

/** @param {AbortSignal} signal @returns {Promise<never>}  Rejects once it aborts. */
function aborted(signal) {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener("abort", () => reject(signal.reason))
  })
}

/**
 * A slow line in user space: takes TCP connections and hands them on with a delay and at a rate, the same in both
 * directions, and counts. A program of its own, so that its work is not the harness's: link.mjs ROUTE.., a route being
 * JSON. `take` on its standard input is answered with what went over each route since the last time.
 *
 * Both ends of a connection see a peer that is near, so neither TCP's slow start nor its losses are played. What is on
 * its way is bounded by what a line of that delay and rate would hold, and 60 ms more in the queue of its router.
 */

import { createServer, connect } from 'node:net'
import { createInterface } from 'node:readline'

/**
 * @typedef {object} Route
 * @property {number} listen   port
 * @property {string} host     where it leads to
 * @property {number} port
 * @property {number} delay    milliseconds, one way
 * @property {number} rate     bytes a second in each direction; 0: as fast as can be
 */

const nothing = () => ({ connections: 0, up: 0, down: 0, turns: 0, first: 0 })

/** One direction of a route, which all its connections share. */
class Lane {
  #free = 0
  /** @param {Route} route */
  constructor(route) {
    this.route = route
    this.most = route.rate === 0 ? 4 << 20 : Math.max(64 << 10, (route.rate * (2 * route.delay + 60)) / 1000)
  }
  /** When so many bytes that are sent now have all arrived. @param {number} bytes @param {number} now */
  arrival(bytes, now) {
    const { rate, delay } = this.route
    this.#free = Math.max(now, this.#free) + (rate === 0 ? 0 : (bytes / rate) * 1000)
    return this.#free + delay
  }
}

/**
 * @param {import('node:net').Socket} from @param {import('node:net').Socket} to @param {Lane} lane
 * @param {(bytes: number) => void} count
 */
function carry(from, to, lane, count) {
  /** @type {{ at: number, piece: Buffer | undefined }[]} */
  const onTheWay = []
  let held = 0
  let timer
  let isFull = false
  const hand = () => {
    timer = undefined
    const now = performance.now()
    while (onTheWay.length > 0 && !isFull && onTheWay[0].at <= now + 0.3) {
      const { piece } = onTheWay.shift()
      if (piece === undefined) {
        to.end()
        continue
      }
      held -= piece.length
      if (!to.write(piece)) isFull = true
    }
    if (held < lane.most) from.resume()
    if (onTheWay.length > 0 && !isFull) timer ??= setTimeout(hand, Math.max(0, onTheWay[0].at - now))
  }
  to.on('drain', () => {
    isFull = false
    hand()
  })
  from.on('data', (piece) => {
    count(piece.length)
    held += piece.length
    onTheWay.push({ at: lane.arrival(piece.length, performance.now()), piece })
    if (held >= lane.most) from.pause()
    if (timer === undefined) hand()
  })
  from.on('end', () => {
    onTheWay.push({ at: lane.arrival(0, performance.now()), piece: undefined })
    hand()
  })
  from.on('close', () => {
    if (!from.readableEnded) to.destroy()
  })
  from.on('error', () => to.destroy())
}

/** @param {Route} route */
function open(route) {
  const counts = { ...nothing() }
  const [up, down] = [new Lane(route), new Lane(route)]
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
    counts.connections += 1
    if (counts.first === 0) counts.first = Date.now()
    // TCP's own handshake takes a round trip
    setTimeout(() => {
      const target = connect({ host: route.host, port: route.port, noDelay: true, allowHalfOpen: true })
      let heard = true
      carry(client, target, up, (bytes) => {
        counts.up += bytes
        if (heard) counts.turns += 1
        heard = false
      })
      carry(target, client, down, (bytes) => {
        counts.down += bytes
        heard = true
      })
      client.resume()
    }, 2 * route.delay)
  })
  server.listen(route.listen)
  return {
    take() {
      const taken = { ...counts }
      Object.assign(counts, nothing())
      return taken
    },
  }
}

const routes = process.argv.slice(2).map((text) => JSON.parse(text))
const opened = routes.map((route) => [route.listen, open(route)])
createInterface({ input: process.stdin })
  .on('line', () =>
    process.stdout.write(`${JSON.stringify(Object.fromEntries(opened.map(([port, { take }]) => [port, take()])))}\n`),
  )
  .on('close', () => process.exit())

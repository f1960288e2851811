import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { type Test, test } from 'tap'
import { checkEdge } from '../../lib/edge/probe.ts'
import { runProcess } from '../../lib/edge/process.ts'

const never = new AbortController().signal

/** The port of a server on loopback that goes away with the test. */
async function portOf(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

const webServer = (t: Test, answer: RequestListener) => portOf(t, createHttpServer(answer))

const edge = checkEdge('/', runProcess)
const get = (url: string, headers = {}, signal = never) => edge.httpStatus(url, { signal, headers })

test('a url is asked for with GET and the headers given, and its status is the answer', async (t) => {
  const seen: unknown[] = []
  const port = await webServer(t, (request, response) => {
    seen.push([
      request.method,
      request.url,
      request.headers.host,
      request.headers['x-token'],
      request.headers.connection,
    ])
    response.writeHead(503).end('busy')
  })
  t.equal(await get(`http://127.0.0.1:${port}/health?q=1`, { Host: 'dave.example', 'X-Token': 't' }), 503)
  t.same(seen, [['GET', '/health?q=1', 'dave.example', 't', 'close']])
})

test('a redirect is an answer like any other and is not followed', async (t) => {
  let requests = 0
  const port = await webServer(t, (_, response) => {
    requests += 1
    response.writeHead(302, { Location: '/elsewhere' }).end()
  })
  t.equal(await get(`http://127.0.0.1:${port}/`), 302)
  t.equal(requests, 1)
})

test('an answer whose body never ends is an answer, and its connection is let go', async (t) => {
  const port = await webServer(t, (_, response) => {
    response.writeHead(200).write('more follows')
    response.on('close', () => t.pass('let go'))
  })
  t.plan(2)
  t.equal(await get(`http://127.0.0.1:${port}/`), 200)
})

test('a server that is not there, hangs up or speaks something else is told of in words', async (t) => {
  const closed = createServer()
  const port = await portOf(t, closed)
  closed.close()
  await once(closed, 'close')
  const refused = { name: 'Problem', message: 'connection refused' }
  await t.rejects(get(`http://127.0.0.1:${port}/`), refused)
  await t.rejects(get(`http://localhost:${port}/`), refused, 'with several addresses, too')
  await t.rejects(edge.tcpConnect({ host: '127.0.0.1', port }, never), refused)
  await t.rejects(edge.tcpConnect({ host: 'localhost', port }, never), refused)

  const rude = await portOf(
    t,
    createServer((socket) => socket.destroy()),
  )
  await t.rejects(get(`http://127.0.0.1:${rude}/`), {
    name: 'Problem',
    message: 'the connection was closed without an answer',
  })
  const other = await portOf(
    t,
    createServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n')),
  )
  await t.rejects(get(`http://127.0.0.1:${other}/`), { name: 'Problem' })
  await t.rejects(get(`https://127.0.0.1:${other}/`), { name: 'Problem' })
})

test('a port that accepts is healthy, and the connection is closed again', async (t) => {
  t.plan(2)
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('close', () => t.pass('closed'))
    socket.resume()
  })
  const port = await portOf(t, server)
  t.equal(await edge.tcpConnect({ host: '127.0.0.1', port }, never), undefined)
})

test('asking stops at once when it is aborted', async (t) => {
  const port = await webServer(t, () => {})
  const asking = new AbortController()
  const answer = get(`http://127.0.0.1:${port}/`, {}, asking.signal)
  const connecting = edge.tcpConnect({ host: '127.0.0.1', port }, asking.signal)
  const program = edge.runLocal(['sleep', '600'], asking.signal)
  asking.abort('enough')
  for (const one of [answer, connecting, program])
    t.equal(
      await one.then(
        () => 'answered',
        (reason) => reason,
      ),
      'enough',
    )
  t.equal(await get(`http://127.0.0.1:${port}/`, {}, asking.signal).catch((reason) => reason), 'enough')
  t.equal(await edge.tcpConnect({ host: '127.0.0.1', port }, asking.signal).catch((reason) => reason), 'enough')
})

test('a local program runs in the directory of the inventory, without a shell', async (t) => {
  const directory = t.testdir({ 'smoke.sh': '#!/bin/sh\npwd\necho "$1" >&2\nexit 3\n' })
  await runProcess(['chmod', '+x', `${directory}/smoke.sh`])
  const here = checkEdge(directory, runProcess)
  t.same(await here.runLocal(['./smoke.sh', '$HOME; echo'], never), { code: 3, output: '$HOME; echo' })
  t.same(await here.runLocal(['pwd'], never), { code: 0, output: `${directory}\n` })
  await t.rejects(here.runLocal(['./no-such-program'], never), { name: 'Problem', message: /not found/ })
})

/** What health checks ask from the control machine: a url, a port, a program. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { CheckEdge } from '../checks/check.ts'
import { Problem } from '../problem.ts'

/** The part of the process edge that is needed; `runProcess` of process.ts fits. */
export type RunProgram = (
  argv: readonly string[],
  options: { cwd: string; signal: AbortSignal },
) => Promise<{ code: number | null; stdout: string; stderr: string }>

/** `directory` is the inventory's. */
export function checkEdge(directory: string, run: RunProgram): CheckEdge {
  return {
    httpStatus,
    tcpConnect,
    async runLocal(argv, signal) {
      const { code, stdout, stderr } = await run(argv, { cwd: directory, signal })
      return { code, output: stderr.trim() || stdout }
    },
  }
}

const httpStatus: CheckEdge['httpStatus'] = (url, { signal, headers }) =>
  new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest : httpRequest
    // A connection of its own for every try: one that is kept alive could outlive the server that it asks for.
    const asking = request(url, { signal, headers, agent: false }, (response) => {
      resolve(response.statusCode ?? 0)
      response.destroy()
    })
    asking.on('error', (error) => reject(signal.aborted ? signal.reason : inWords(error)))
    asking.end()
  })

const tcpConnect: CheckEdge['tcpConnect'] = (address, signal) =>
  new Promise((resolve, reject) => {
    const socket = connect(address)
    const abort = () => socket.destroy(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    socket.on('connect', () => {
      resolve()
      socket.destroy()
    })
    socket.on('error', (error) => reject(signal.aborted ? signal.reason : inWords(error)))
    socket.on('close', () => {
      signal.removeEventListener('abort', abort)
      // Whatever closed it without an error and before it was open.
      reject(new Problem('the connection was closed'))
    })
  })

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed without an answer',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ENOTFOUND: 'no host of that name',
  EAI_AGAIN: 'the name of the host could not be looked up',
  ETIMEDOUT: 'no answer',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
}

/** Connecting to a host with several addresses fails with all of their errors in one, which has no words itself. */
function inWords(error: NodeJS.ErrnoException): Problem {
  const cause = (error instanceof AggregateError ? error.errors[0] : error) as NodeJS.ErrnoException
  return new Problem(words[cause.code ?? ''] ?? cause.message, { cause: error })
}

/**
 * A command's channel on an ssh2 connection. ssh2's own streams have traps that this file closes: a write after the
 * end of the channel is never called back, standard error that nobody reads stops everything, a lost connection looks
 * like the end of the output, and the receive window is too small for fast lines that are long.
 */
import { Readable, Writable } from 'node:stream'
import type { Exit } from '../../machine/machine.ts'
import { ErrorOutput } from '../error-output.ts'
import type { Started } from '../machine.ts'
import type { ClientChannel } from './ssh2.ts'

const buffered = 256 * 1024

export interface WrappedChannel extends Started {
  /** Has the SSH server end the command, and closes. OpenSSH does so for ordinary users, not for root. */
  kill(): void
}

/** `over` is aborted when the connection is gone. */
export function wrapChannel(stream: ClientChannel, over: AbortSignal): WrappedChannel {
  const errors = new ErrorOutput()
  const { stdin, breakOff } = input(stream)
  const stdout = output(stream)
  stream.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  stream.on('error', () => undefined)

  let settle: (exit: Exit) => void = () => {}
  let free: () => void = () => {}
  const exit = new Promise<Exit>((resolve) => {
    settle = resolve
  })
  const freed = new Promise<void>((resolve) => {
    free = resolve
  })
  const end = (how: Exit) => {
    // The reader must not take what came so far for the whole.
    if (how.lost) stdout.destroy(new Error('the connection was lost'))
    breakOff()
    settle(how)
    free()
  }
  const gone = () => end(lostExit)
  stream.on('close', (code?: number | null, signal?: string) => {
    over.removeEventListener('abort', gone)
    // Neither status nor signal: the other side went away in the middle.
    end(code === undefined ? lostExit : { code, signal: signal ?? null, lost: false })
  })
  over.addEventListener('abort', gone)
  if (over.aborted) gone()

  const close = () => {
    // sshd answers only when the command has ended. Nobody waits for that, but its session is in use until then.
    settle({ code: null, signal: null, lost: false })
    breakOff()
    stdout.destroy()
    // 'close' comes only after everything that was sent has been read.
    stream.resume()
    stream.end()
    stream.close()
  }
  const kill = () => {
    const { outgoing, _client: client } = stream as unknown as Internals
    // Its own method does nothing once standard input has ended.
    if (outgoing?.state === 'open' || outgoing?.state === 'eof') client?._protocol?.signal?.(outgoing.id, 'TERM')
    close()
  }
  const onErrorOutput = (listener: (text: string) => void) => errors.listen(listener)
  const channel = { stdin, stdout, exit, close, errorOutput: () => errors.text(), onErrorOutput }
  return { channel, freed, kill }
}

const lostExit: Exit = { code: null, signal: null, lost: true }

function input(channel: ClientChannel): { stdin: Writable; breakOff(): void } {
  const broken = () => Object.assign(new Error('the command reads no more input'), { code: 'EPIPE' })
  let waiting: ((error?: Error | null) => void) | undefined
  let over = false
  const stdin = new Writable({
    highWaterMark: buffered,
    write(chunk: Buffer, _encoding, done) {
      if (over) return done(broken())
      waiting = done
      channel.write(chunk, () => {
        waiting = undefined
        if (!over) done()
      })
    },
    final(done) {
      channel.end()
      done()
    },
  })
  // Whoever writes sees it in a callback or pipeline; without a listener it would end this process.
  stdin.on('error', () => undefined)
  const breakOff = () => {
    if (over) return
    over = true
    if (waiting) waiting(broken())
    stdin.destroy(stdin.writableFinished ? undefined : broken())
  }
  return { stdin, breakOff }
}

function output(channel: ClientChannel): Readable {
  const stdout = new Readable({ highWaterMark: buffered, read: () => void channel.resume() })
  stdout.on('error', () => undefined)
  channel.on('data', (chunk: Buffer) => {
    if (stdout.destroyed) return
    if (stdout.push(chunk)) widen(channel)
    else channel.pause()
  })
  channel.on('end', () => {
    if (!stdout.destroyed) stdout.push(null)
  })
  return stdout
}

const window = 8 * 1024 * 1024

interface Internals {
  incoming?: { window: number }
  outgoing?: { id: number; state: string }
  _client?: {
    _protocol?: {
      channelWindowAdjust?: (id: number, bytes: number) => void
      signal?: (id: number, name: string) => void
    }
  }
}

/**
 * ssh2 lets the other side send 2 MB, and renews that at half: 1 MB a round trip, 20 MB/s from a builder 50 ms away.
 * There is no option for it (mscdex/ssh2 lib/Channel.js), so this reaches inside, and does nothing should it change.
 */
function widen(channel: ClientChannel): void {
  const { incoming, outgoing, _client: client } = channel as unknown as Internals
  if (!incoming || outgoing?.state === 'closed' || !outgoing || !client?._protocol?.channelWindowAdjust) return
  // What ssh2 holds unread counts as well: otherwise a slow reader's memory would grow with what is sent.
  if (incoming.window + channel.readableLength > window / 2) return
  const more = window - incoming.window - channel.readableLength
  incoming.window += more
  client._protocol.channelWindowAdjust(outgoing.id, more)
}

/**
 * A command's channel on an ssh2 connection. ssh2's own streams have traps that this file closes: a write after the
 * end of the channel is never called back, standard error that nobody reads stops everything, a lost connection looks
 * like the end of the output, and the receive window is too small for fast lines that are long.
 */
import { Readable, Writable } from 'node:stream'
import type { Channel, Exit } from '../../machine/machine.ts'
import { ErrorOutput } from '../error-output.ts'
import type { ClientChannel } from './ssh2.ts'

const buffered = 256 * 1024

/** `over` is aborted when the connection is gone. */
export function wrapChannel(channel: ClientChannel, over: AbortSignal): Channel {
  const errors = new ErrorOutput()
  let closing = false
  let settle: (exit: Exit) => void = () => {}
  const exit = new Promise<Exit>((resolve) => {
    settle = resolve
  })
  const { stdin, breakOff } = input(channel)
  const stdout = output(channel)
  channel.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  channel.on('error', () => undefined)

  const gone = () => finish({ code: null, signal: null, lost: true })
  const finish = (how: Exit) => {
    over.removeEventListener('abort', gone)
    // The reader must not take what came so far for the whole.
    if (how.lost) stdout.destroy(new Error('the connection was lost'))
    breakOff()
    settle(how)
  }
  channel.on('close', (code?: number | null, signal?: string) => {
    // Neither status nor signal: the other side went away, unless it was us who closed the channel.
    if (code === undefined) finish({ code: null, signal: null, lost: !closing })
    else finish({ code, signal: signal ?? null, lost: false })
  })
  over.addEventListener('abort', gone)
  if (over.aborted) gone()

  const close = () => {
    closing = true
    breakOff()
    stdout.destroy()
    // 'close' comes only after everything that was sent has been read.
    channel.resume()
    channel.end()
    channel.close()
  }
  const onErrorOutput = (listener: (text: string) => void) => errors.listen(listener)
  return { stdin, stdout, exit, close, errorOutput: () => errors.text(), onErrorOutput }
}

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
  _client?: { _protocol?: { channelWindowAdjust?: (id: number, bytes: number) => void } }
}

/**
 * ssh2 lets the other side send 2 MB, and renews that at half: 1 MB a round trip, 20 MB/s from a builder 50 ms away.
 * There is no option for it (mscdex/ssh2 lib/Channel.js), so this reaches inside, and does nothing should it change.
 */
function widen(channel: ClientChannel): void {
  const { incoming, outgoing, _client: client } = channel as unknown as Internals
  if (!incoming || outgoing?.state === 'closed' || !outgoing || !client?._protocol?.channelWindowAdjust) return
  if (incoming.window > window / 2) return
  const more = window - incoming.window
  incoming.window += more
  client._protocol.channelWindowAdjust(outgoing.id, more)
}

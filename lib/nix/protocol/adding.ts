/** Paths into a store: one operation for each, written without waiting for the answer to the one before. */
import { Problem } from '../../problem.ts'
import type { Adding, Nar, PathInfo } from '../store.ts'
import type { Connection } from './connection.ts'
import { framed, inPiecesOf } from './framed.ts'
import { operation } from './operations.ts'
import { newPathInfo } from './path-info.ts'
import { DaemonError, untilAnswer } from './said.ts'
import { boolean, integer } from './wire.ts'

const pieceSize = 64 * 1024

/**
 * AddMultipleToStore takes many paths at once, but then a daemon that fails at one of them (its disk is full, say)
 * reads all the others before it says so. With one path an operation it speaks up at once, and each answer tells that
 * the path is registered; since nobody waits for answers, it costs no turn more.
 *
 * A failure, of the store or of the source, closes the connection in the middle of the frame: that path is not
 * registered, those before it stay.
 */
export function addMultiple(connection: Connection, nars: AsyncIterable<Nar>, adding: Adding): Promise<void> {
  return connection.exclusively(async () => {
    const sent: PathInfo[] = []
    await Promise.all([write(connection, operations(nars, adding, sent)), confirm(connection, adding, sent)])
  })
}

async function write(connection: Connection, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of inPiecesOf(pieceSize, bytes)) await connection.send(piece)
}

async function* operations(nars: AsyncIterable<Nar>, adding: Adding, sent: PathInfo[]): AsyncGenerator<Uint8Array> {
  let count = 0
  for await (const nar of nars) {
    if (++count > adding.count) break
    sent.push(nar.info)
    yield integer(operation.addMultipleToStore)
    yield boolean(false) // no repair
    yield boolean(!adding.checkSignatures)
    yield* framed(contents(nar, adding))
  }
  if (count !== adding.count) throw new RangeError(`${adding.count} paths were announced, and ${count} came`)
}

async function* contents(nar: Nar, adding: Adding): AsyncGenerator<Uint8Array> {
  yield integer(1)
  yield newPathInfo(nar.info)
  yield* wholeNar(nar, adding)
}

/** Rejects when it is not as long as is known of it. */
export async function* wholeNar({ info, bytes }: Nar, adding: Adding): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const piece of bytes as AsyncIterable<Buffer>) {
    size += piece.length
    yield piece
    adding.onSent?.(piece.length)
  }
  if (size !== info.narSize) throw new Problem(`the NAR of ${info.path} has ${size} of ${info.narSize} bytes`)
}

/** Reads from the first moment on: a daemon that has something to say may stop reading until it was heard. */
async function confirm(connection: Connection, adding: Adding, sent: PathInfo[]): Promise<void> {
  for (let left = adding.count; left > 0; left--) {
    try {
      await untilAnswer(connection.reader, adding.onEvent)
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error
      // A plain Problem: other answers are on their way, so this connection is of no use any more.
      const message = `${sent[0]?.path ?? 'a path'} was refused: ${error.message}`
      throw new Problem(message, { detail: error.detail, cause: error })
    }
    const info = sent.shift()
    if (info) adding.onAdded?.(info)
  }
}

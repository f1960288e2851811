/** NARs out of a store: many are asked for ahead, and each is cut out of the stream as it comes. */
import { Readable } from 'node:stream'
import { Problem } from '../../problem.ts'
import { NarScanner, NotANar } from '../nar.ts'
import type { Nar, PathInfo } from '../store.ts'
import type { Connection } from './connection.ts'
import { operation, said } from './operations.ts'
import { readError, untilAnswer } from './said.ts'
import { integer, string } from './wire.ts'
import { EndOfStream, type WireReader } from './wire-reader.ts'

/** Requests on their way at any time: about 50 KB, which is written without waiting for room. */
const ahead = 512

/** Leaving before the end closes the connection: what was asked for is still coming. */
export async function* narsFrom(connection: Connection, infos: readonly PathInfo[]): AsyncGenerator<Nar> {
  const done = await connection.turn()
  let complete = false
  try {
    const ask = (info: PathInfo | undefined) => {
      if (info) connection.post(Buffer.concat([integer(operation.narFromPath), string(info.path)]))
    }
    for (const info of infos.slice(0, ahead)) ask(info)
    for (const [index, info] of infos.entries()) {
      await untilAnswer(connection.reader)
      yield* nextNar(connection, info)
      ask(infos[index + ahead])
    }
    complete = true
  } catch (error) {
    throw await connection.broke(error)
  } finally {
    if (!complete) connection.close()
    done()
  }
}

/** The NAR that comes next. Rejects when whoever got it didn't read it to its end. */
export async function* nextNar(connection: Connection, info: PathInfo): AsyncGenerator<Nar> {
  const cut: Cut = { finished: false }
  yield { info, bytes: Readable.from(cutOut(connection, info, cut), { objectMode: false }) }
  if (!cut.finished) throw new RangeError(`${info.path} was not read to its end`)
}

/** Whether the NAR that was cut out has been read to its end. */
interface Cut {
  finished: boolean
}

/** Exactly one NAR, which must have the size that is known of it. */
async function* cutOut(connection: Connection, info: PathInfo, cut: Cut): AsyncGenerator<Buffer> {
  const { reader } = connection
  const scanner = new NarScanner()
  let size = 0
  try {
    await throwIfError(reader)
    while (!scanner.done) {
      const bytes = await reader.some()
      const length = scanner.push(bytes)
      if (length < bytes.length) reader.putBack(bytes.subarray(length))
      size += length
      if (size > info.narSize || (scanner.done && size < info.narSize)) throw wrongSize(info, scanner.done, size)
      cut.finished = scanner.done
      yield bytes.subarray(0, length)
    }
  } catch (error) {
    if (error instanceof NotANar)
      throw new Problem(`what came for ${info.path} is no NAR: ${error.message}`, { cause: error })
    if (error instanceof EndOfStream)
      throw new Problem(`the NAR of ${info.path} ended after ${size} of ${info.narSize} bytes`, {
        detail: await connection.lastWords(),
        cause: error,
      })
    throw error
  }
}

/** A daemon that can't read the path says so in the place of the NAR, and leaves. */
async function throwIfError(reader: WireReader): Promise<void> {
  const first = await reader.bytes(8)
  if (first.equals(integer(said.error))) throw await readError(reader)
  reader.putBack(first)
}

const wrongSize = (info: PathInfo, ended: boolean, size: number) =>
  new Problem(
    `the NAR of ${info.path} is ${ended ? `${size} bytes` : 'longer'}, not the ${info.narSize} bytes known of it`,
    {
      hints: [
        'it is damaged in the store it comes from, as after a power cut: run `nix-store --verify --check-contents --repair` there, as root',
      ],
    },
  )

/**
 * The protocol of `nix-store --serve` (what `ssh://` speaks), for what it does better than a daemon. It knows a question for
 * a whole closure. And unlike a daemon, which leaves when it hears that its client has nothing more to say, it answers to the
 * end; so a stream of NARs can go through something that holds bytes back, as compressors do. Version 2.5 and later (Nix 2.5
 * has 2.7).
 */
import { Problem } from '../problem.ts'
import { referencesFirst } from './closure.ts'
import { wholeNar } from './protocol/adding.ts'
import { Connection, type DaemonStreams } from './protocol/connection.ts'
import { inPiecesOf } from './protocol/framed.ts'
import { nextNar } from './protocol/nars.ts'
import { newPathInfo, readStorePath, storePathFrom } from './protocol/path-info.ts'
import { writeAll } from './protocol/queries.ts'
import { boolean, integer, string, strings } from './protocol/wire.ts'
import { EndOfStream, NotUnderstood, type WireReader } from './protocol/wire-reader.ts'
import type { Adding, Nar, NarSink, NarSource, PathInfo } from './store.ts'
import type { StorePath } from './store-path.ts'

/** Numbers of the protocol (nix: src/libstore/include/nix/store/serve-protocol.hh). */
const hello = { client: 0x390c9deb, server: 0x5452eecb } as const
const command = { queryPathInfos: 2, dumpStorePath: 3, queryClosure: 7, addToStoreNar: 9 } as const
/** Major and minor version, a byte each. */
const spoken = 0x207
const oldest = 0x205

const pieceSize = 64 * 1024

/** What the paths refer to, themselves included, references first: in two turns. Closes the connection. */
export async function queryClosure(streams: DaemonStreams, paths: readonly StorePath[]): Promise<PathInfo[]> {
  const connection = new Connection(streams)
  try {
    return await connection.exclusively(async () => {
      const { reader } = connection
      greet(connection)
      connection.post(Buffer.concat([integer(command.queryClosure), boolean(false), strings(paths)]))
      await greeted(connection)
      const closure = await reader.strings()
      const infos = new Map<StorePath, PathInfo>()
      const read = async () => {
        for (let info = await readInfo(reader); info; info = await readInfo(reader)) infos.set(info.path, info)
      }
      await Promise.all([connection.send(Buffer.concat([integer(command.queryPathInfos), strings(closure)])), read()])
      if (infos.size !== closure.length)
        throw new NotUnderstood(`${infos.size} of ${closure.length} paths of a closure`)
      return referencesFirst(infos)
    })
  } finally {
    connection.close()
  }
}

/** Undefined at the end of them. */
async function readInfo(reader: WireReader): Promise<PathInfo | undefined> {
  const path = await reader.string()
  if (path === '') return undefined
  const deriver = await reader.string()
  const references = await reader.list(() => readStorePath(reader))
  // what a download of it would be: nobody knows
  await reader.integer()
  const narSize = await reader.integer()
  return {
    path: storePathFrom(path),
    deriver: deriver === '' ? '' : storePathFrom(deriver),
    references,
    narSize,
    narHash: hexadecimal(await reader.string()),
    contentAddress: await reader.string(),
    signatures: await reader.strings(),
    registrationTime: 0,
    ultimate: false,
  }
}

const digits = '0123456789abcdfghijklmnpqrsvwxyz'

/** `sha256:` and 52 digits of Nix's base 32, last bits first (nix: src/libutil/hash.cc), in base 16. */
export function hexadecimal(hash: string): string {
  const [, text] = /^sha256:([0-9a-df-np-sv-z]{52})$/.exec(hash) ?? []
  if (text === undefined) throw new NotUnderstood(`${JSON.stringify(hash)} as a hash`)
  const value = [...text].reduce((sum, digit) => sum * 32n + BigInt(digits.indexOf(digit)), 0n)
  const bytes = Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
  return bytes.reverse().toString('hex')
}

/** To be used once, for either direction. Nothing is said before that. */
export function openServe(streams: DaemonStreams): NarSource & NarSink {
  const connection = new Connection(streams)
  return {
    narsFrom: (infos) => narsFrom(connection, infos),
    addMultiple: (nars, adding) => addMultiple(connection, nars, adding),
    close: () => connection.close(),
  }
}

/** The first of what a client says. */
export const opening: Buffer = Buffer.concat([integer(hello.client), integer(spoken)])

/** What a client says before the NAR of a path that it adds. */
export const announcement = (info: PathInfo): Buffer =>
  Buffer.concat([integer(command.addToStoreNar), newPathInfo(info)])

const greet = (connection: Connection) => connection.post(opening)

async function greeted({ reader }: Connection): Promise<void> {
  const [server, version] = [await reader.integer(), await reader.integer()]
  if (server !== hello.server) throw new NotUnderstood(`${server.toString(16)} as a greeting`)
  if (version < oldest || version >= 0x300) throw new NotUnderstood(`version ${version.toString(16)} of its protocol`)
}

async function* narsFrom(connection: Connection, infos: readonly PathInfo[]): AsyncGenerator<Nar> {
  const done = await connection.turn()
  let complete = false
  try {
    greet(connection)
    const asked = infos.map(({ path }) => Buffer.concat([integer(command.dumpStorePath), string(path)]))
    // What goes wrong with it is seen where the answers are missed.
    writeAll(connection, asked).then(
      () => connection.endInput(),
      () => {},
    )
    await greeted(connection)
    for (const info of infos) yield* nextNar(connection, info)
    complete = true
  } catch (error) {
    throw await connection.broke(error)
  } finally {
    if (!complete) connection.close()
    done()
  }
}

const addMultiple = (connection: Connection, nars: AsyncIterable<Nar>, adding: Adding): Promise<void> =>
  converse(connection, (sent) => commands(nars, adding, sent), adding)

/**
 * For a store at whose end the conversation is put together out of something else: `pieces` become that, and `sent` is told
 * of each path that has been begun. Fails and ends like `addMultiple`.
 */
export function openAssembled(streams: DaemonStreams) {
  const connection = new Connection(streams)
  return {
    add: (pieces: (sent: PathInfo[]) => AsyncIterable<Uint8Array>, adding: Adding): Promise<void> =>
      converse(connection, pieces, adding),
    close: () => connection.close(),
  }
}

function converse(
  connection: Connection,
  pieces: (sent: PathInfo[]) => AsyncIterable<Uint8Array>,
  adding: Adding,
): Promise<void> {
  return connection.exclusively(async () => {
    const sent: PathInfo[] = []
    const say = async () => {
      for await (const piece of inPiecesOf(pieceSize, pieces(sent))) await connection.send(piece)
      connection.endInput()
    }
    await Promise.all([say(), confirm(connection, adding, sent)])
  })
}

async function* commands(nars: AsyncIterable<Nar>, adding: Adding, sent: PathInfo[]): AsyncGenerator<Uint8Array> {
  yield opening
  for await (const nar of nars) {
    sent.push(nar.info)
    yield announcement(nar.info)
    yield* wholeNar(nar, adding)
  }
}

/** It has no words for failures: it prints them, and leaves. */
async function confirm(connection: Connection, adding: Adding, sent: PathInfo[]): Promise<void> {
  try {
    await greeted(connection)
    for (let left = adding.count; left > 0; left--) {
      await connection.reader.integer()
      const info = sent.shift()
      if (info) adding.onAdded?.(info)
    }
  } catch (error) {
    const [refused] = sent
    if (!(error instanceof EndOfStream) || !refused) throw error
    const detail = await connection.lastWords()
    const [, reason] = /^error: (.*)$/m.exec(detail) ?? []
    throw reason === undefined ? error : new Problem(`${refused.path} was refused: ${reason}`, { detail, cause: error })
  }
}

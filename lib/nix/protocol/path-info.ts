/** What a store knows about a path, as it goes over the wire (ValidPathInfo since protocol 1.16). */
import type { PathInfo } from '../store.ts'
import { parseStorePath, type StorePath } from '../store-path.ts'
import { boolean, integer, string, strings } from './wire.ts'
import { NotUnderstood, type WireReader } from './wire-reader.ts'

export async function readStorePath(reader: WireReader): Promise<StorePath> {
  return storePathFrom(await reader.string())
}

export function storePathFrom(text: string): StorePath {
  try {
    return parseStorePath(text)
  } catch (cause) {
    throw new NotUnderstood(`${JSON.stringify(text.slice(0, 300))} instead of a store path`, { cause })
  }
}

/** Without the path itself, which whoever asked knows. */
export async function readPathInfo(reader: WireReader, path: StorePath): Promise<PathInfo> {
  const deriver = await reader.string()
  return {
    path,
    deriver: deriver === '' ? '' : storePathFrom(deriver),
    narHash: await reader.string(),
    references: await reader.list(() => readStorePath(reader)),
    registrationTime: await reader.integer(),
    narSize: await reader.integer(),
    ultimate: await reader.boolean(),
    signatures: await reader.strings(),
    contentAddress: await reader.string(),
  }
}

/**
 * For a store that the path is new to: registered when it arrives (a time of 0 stands for that), and not built there
 * (not `ultimate`).
 */
export const newPathInfo = (info: PathInfo): Buffer =>
  Buffer.concat([
    string(info.path),
    string(info.deriver),
    string(info.narHash),
    strings(info.references),
    integer(0),
    integer(info.narSize),
    boolean(false),
    strings(info.signatures),
    string(info.contentAddress),
  ])

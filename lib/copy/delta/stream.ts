/** What the host's end of a delta reads (decoder-script.ts): the conversation with its store, in parts that it puts together. */
import { wholeNar } from '../../nix/protocol/adding.ts'
import { announcement, opening } from '../../nix/serve-protocol.ts'
import type { Adding, Nar, PathInfo } from '../../nix/store.ts'
import type { StorePath } from '../../nix/store-path.ts'
import type { Patched, Patches } from './patches.ts'
import { stepsOf } from './windows.ts'

export interface Contents {
  /** references first */
  readonly infos: readonly PathInfo[]
  /** those that are told by patches */
  readonly patched: ReadonlyMap<StorePath, Patched>
  /** one for each window of each of those */
  readonly patches: Pick<Patches, 'next'>
  /** the NARs of all others */
  readonly nars: AsyncIterable<Nar>
  /** a patch of so many bytes was sent */
  onPatch(path: StorePath, bytes: number): void
}

export async function* deltaStream(contents: Contents, adding: Adding, sent: PathInfo[]): AsyncGenerator<Uint8Array> {
  const nars = contents.nars[Symbol.asyncIterator]()
  try {
    yield words('L', opening.length)
    yield opening
    for (const { whole, last } of runsOf(contents)) {
      yield words('L', sum([...whole.map(length), last ? announcement(last.info).length : 0]))
      for (const info of whole) {
        sent.push(info)
        yield announcement(info)
        const { value, done } = await nars.next()
        if (done || value.info.path !== info.path) throw new RangeError(`another NAR came than that of ${info.path}`)
        yield* wholeNar(value, adding)
      }
      if (!last) continue
      sent.push(last.info)
      yield announcement(last.info)
      yield* patchedNar(last, contents, adding)
    }
  } finally {
    await nars.return?.()
  }
}

async function* patchedNar({ info, base, windows }: Patched, { patches, onPatch }: Contents, adding: Adding) {
  yield words('D', base.path)
  for (const { bytes, drop, skip, add } of stepsOf(windows)) {
    const patch = await patches.next()
    yield words(drop, skip, add, patch.length)
    yield patch
    onPatch(info.path, patch.length)
    adding.onSent?.(bytes)
  }
  yield words('.')
}

/** Whole paths up to one that is patched: each part costs the host a process. */
interface Run {
  readonly whole: readonly PathInfo[]
  readonly last: Patched | undefined
}

function* runsOf({ infos, patched }: Contents): Generator<Run> {
  let whole: PathInfo[] = []
  for (const info of infos) {
    const last = patched.get(info.path)
    if (!last) {
      whole.push(info)
      continue
    }
    yield { whole, last }
    whole = []
  }
  if (whole.length > 0) yield { whole, last: undefined }
}

const length = (info: PathInfo): number => announcement(info).length + info.narSize
const words = (...all: readonly (string | number)[]): Buffer => Buffer.from(`${all.join(' ')}\n`)
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

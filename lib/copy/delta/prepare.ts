/** Before whole paths are sent: what changed in them, if that takes less; and what to do when it comes to nothing. */
import { formatBytes } from '../../format.ts'
import type { PathInfo } from '../../nix/store.ts'
import type { StorePath } from '../../nix/store-path.ts'
import type { TransferRequest } from '../../nix/transfer.ts'
import { Problem } from '../../problem.ts'
import { chooseCompression } from '../compression.ts'
import { isEnd, type Lines, type SourceEnd } from '../lines.ts'
import type { End } from '../streams.ts'
import { closureOfHost, findPairs, sendDelta } from './delta.ts'
import { type Patched, planPatches } from './patches.ts'
import { isWorthwhile } from './worth.ts'

export interface DeltasRequest {
  readonly from: SourceEnd
  readonly to: End
  /** `auto` asks whether it takes less time; `best` takes the time to make the patches as small as can be */
  readonly setting: 'auto' | 'off' | 'best'
  readonly compress: 'auto' | 'always' | 'never'
  /** asked for unless it is off */
  lines(): Promise<Lines | undefined>
  /** for whoever wants to know exactly */
  log(line: string): void
  readonly signal: AbortSignal
}

export interface Deltas {
  readonly send: NonNullable<TransferRequest['sendOtherwise']>
  /** so far: paths that were told by patches, the bytes of their NARs, and those of the patches */
  told(): { readonly paths: number; readonly narBytes: number; readonly bytes: number }
}

/** Levels of zstd. The next ones take ten times as long as `best`, for a tenth of the bytes. */
const levels = { auto: 3, best: 12 } as const

/** The second time without the path at which it failed; after that, nothing more is tried. */
const attempts = 2

/** Begins to ask the host now, if that is of use. */
export function prepareDeltas(request: DeltasRequest): Deltas {
  const { from, to, setting, log, signal } = request
  const patches = new Map<StorePath, { narBytes: number; bytes: number }>()
  const told = () => {
    const all = [...patches.values()]
    const sum = (field: 'narBytes' | 'bytes') => all.reduce((total, one) => total + one[field], 0)
    return { paths: all.length, narBytes: sum('narBytes'), bytes: sum('bytes') }
  }
  if (setting === 'off' || !isEnd(from)) return { send: async (missing) => missing, told }

  const lines = request.lines()
  const onHost = lines.then(async (known) => {
    // No size would be worth it.
    if (setting === 'auto' && !isWorthwhile(slower(known), Number.MAX_SAFE_INTEGER, 0)) return []
    return closureOfHost(await to.machine(signal), to.asRoot, signal)
  })
  // Heard of when it is needed, if it is.
  onHost.catch(() => {})

  async function plan(missing: readonly PathInfo[], source: End): Promise<Map<StorePath, Patched>> {
    const have = await onHost
    const pairs = have.length > 0 ? await findPairs(missing, have, source.store) : []
    const bytes = pairs.reduce((sum, { info }) => sum + info.narSize, 0)
    if (pairs.length === 0) return new Map()
    if (setting === 'auto' && !isWorthwhile(slower(await lines), bytes, pairs.length)) {
      log(`patches: not worth it for ${pairs.length} paths, ${formatBytes(bytes)}`)
      return new Map()
    }
    return planPatches(await source.machine(signal), pairs, signal)
  }

  const send: Deltas['send'] = async (missing, moved) => {
    const left = new Map(missing.map((info) => [info.path, info]))
    const patched = await plan(missing, from).catch((error: unknown) => {
      log(`patches: ${inWords(error, signal)}`)
      return new Map<StorePath, Patched>()
    })
    const { codecs = [], up, down } = (await lines) ?? {}
    const compression = {
      down: chooseCompression(request.compress, down, codecs),
      up: chooseCompression(request.compress, up, codecs),
    }
    const delta = { from, to, level: levels[setting], compression, signal }
    for (let attempt = 1; patched.size > 0 && attempt <= attempts; attempt++) {
      const infos = [...left.values()]
      const sizes = new Map<StorePath, number>()
      try {
        await sendDelta(
          delta,
          { infos, patched },
          {
            count: infos.length,
            checkSignatures: false,
            onSent: moved.onSent,
            onPatch: (path, size) => void sizes.set(path, (sizes.get(path) ?? 0) + size),
            onAdded(info) {
              left.delete(info.path)
              if (patched.delete(info.path))
                patches.set(info.path, { narBytes: info.narSize, bytes: sizes.get(info.path) ?? 0 })
              moved.onAdded(info)
            },
          },
        )
      } catch (error) {
        const why = inWords(error, signal)
        const [failed] = left.keys()
        if (failed !== undefined) patched.delete(failed)
        moved.onAgain()
        log(`patches: ${why}`)
        log(
          `patches: ${left.size} paths are left, ${attempt < attempts && patched.size > 0 ? `${patched.size} as patches` : 'all whole'}`,
        )
      }
    }
    return [...left.values()]
  }
  return { send, told }
}

/** Bytes a second; what can't be measured is taken for fast. */
const slower = (lines: Lines | undefined): number =>
  lines?.up ? Math.min(lines.up.rate, lines.down?.rate ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY

/** Of a failure that is no reason to end the copy. */
function inWords(error: unknown, signal: AbortSignal): string {
  if (signal.aborted || !(error instanceof Problem)) throw error
  return [error.message, ...error.detail.split('\n')].filter((line) => line !== '').join('; ')
}

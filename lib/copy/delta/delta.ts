/**
 * Sends what changed inside of paths. The builder makes patches against old paths that the host has as well, and the
 * host's store gets the NARs that a few lines of shell put together there. Nothing of that is trusted: the store counts a path as
 * valid when the hash of its NAR is right. Whatever goes wrong, what has not arrived is left to be sent whole.
 */
import { quotePosix } from '../../machine/command.ts'
import type { Machine } from '../../machine/machine.ts'
import { openAssembled, openServe } from '../../nix/serve-protocol.ts'
import type { Adding, PathInfo, Store } from '../../nix/store.ts'
import { isStorePath, type StorePath } from '../../nix/store-path.ts'
import { Problem } from '../../problem.ts'
import type { Compression } from '../compression.ts'
import { type End, serving, streamsFrom, streamsTo } from '../streams.ts'
import { candidatesFor, type Pair, pairsOf } from './bases.ts'
import { closureScript } from './closure-script.ts'
import { decoderScript } from './decoder-script.ts'
import { openPatches, type Patched } from './patches.ts'
import { type Contents, deltaStream } from './stream.ts'

/** Paths that the host lacks, by which of them can be patched. */
export interface DeltaPlan {
  readonly infos: readonly PathInfo[]
  readonly patched: ReadonlyMap<StorePath, Patched>
}

export interface Delta {
  readonly from: End
  readonly to: End
  /** of zstd, for patches */
  readonly level: number
  /** for what carries patches and whole paths alike */
  readonly compression: { readonly down: Compression | undefined; readonly up: Compression | undefined }
  readonly signal: AbortSignal
}

/** What the host's running system consists of: nothing of it is collected meanwhile. Rejects where patches can't be applied. */
export async function closureOfHost(machine: Machine, asRoot: boolean, signal: AbortSignal): Promise<StorePath[]> {
  const { code, stdout, stderr } = await machine.run({ argv: ['sh', '-c', closureScript], asRoot }, { signal })
  if (code !== 0) throw new Problem('the host can apply no patches', { detail: stderr.trim() })
  return stdout.split('\n').filter(isStorePath)
}

/** A smaller one is sent whole: less than what it costs to begin with a patch. */
const smallest = 64 * 1024

/** The pairs of what is missing and what both ends have, in two turns to the builder. What is found stays there. */
export async function findPairs(
  missing: readonly PathInfo[],
  onHost: readonly StorePath[],
  from: Store,
): Promise<Pair[]> {
  const worthwhile = missing.filter(({ narSize }) => narSize >= smallest)
  const candidates = candidatesFor(worthwhile, onHost)
  if (candidates.length === 0) return []
  await from.addTempRoots(candidates)
  const there = await from.queryValidPaths(candidates, { substitute: false })
  const infos = await from.queryPathInfos([...there])
  return [...pairsOf(worthwhile, infos).values()].filter(({ base }) => base.narSize >= smallest)
}

/** Sends all that is missing, in one stream. Rejects with a Problem; paths that `adding` was told of have arrived. */
export async function sendDelta(
  { from, to, level, compression, signal }: Delta,
  { infos, patched }: DeltaPlan,
  adding: Adding & Pick<Contents, 'onPatch'>,
): Promise<void> {
  const whole = infos.filter(({ path }) => !patched.has(path))
  const inOrder = infos.flatMap(({ path }) => patched.get(path) ?? [])
  const decoder = `sh -c ${quotePosix(decoderScript)} sh ${quotePosix(to.serve)}`
  const opened: { close(): void }[] = []
  const opening = <What extends { close(): void }>(what: What): What => {
    opened.push(what)
    return what
  }
  const close = () => {
    for (const one of opened) one.close()
  }
  signal.addEventListener('abort', close, { once: true })
  try {
    const builder = await from.machine(signal)
    const patches = opening(await openPatches(builder, inOrder, level, signal))
    const source =
      whole.length > 0
        ? opening(openServe(await streamsFrom(from, serving(from), compression.down, signal)))
        : undefined
    const sink = opening(openAssembled(await streamsTo(to, decoder, compression.up, signal)))
    signal.throwIfAborted()
    const nars = source?.narsFrom(whole) ?? nothing()
    await sink.add(
      (sent) => deltaStream({ infos, patched, patches, nars, onPatch: adding.onPatch }, adding, sent),
      adding,
    )
  } finally {
    signal.removeEventListener('abort', close)
    close()
  }
}

async function* nothing(): AsyncGenerator<never> {}

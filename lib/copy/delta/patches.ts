/** Patches from the machine that has both the new paths and their bases. */
import type { Machine } from '../../machine/machine.ts'
import type { StorePath } from '../../nix/store-path.ts'
import { WireReader } from '../../nix/protocol/wire-reader.ts'
import { Problem } from '../../problem.ts'
import { anchorsScript } from './anchors-script.ts'
import type { Pair } from './bases.ts'
import { encoderScript } from './encoder-script.ts'
import { type Anchor, planWindows, stepsOf, type Window } from './windows.ts'

/** A path that is sent as patches against its base, one for each window. */
export interface Patched extends Pair {
  readonly windows: readonly Window[]
}

/** Asks where the same files are in both NARs of each pair. Rejects with a Problem where no patches can be made. */
export async function planPatches(
  machine: Machine,
  pairs: readonly Pair[],
  signal: AbortSignal,
): Promise<Map<StorePath, Patched>> {
  const input = pairs.map(({ info, base }) => `${info.path} ${base.path}\n`).join('')
  const { code, stdout, stderr } = await machine.run({ argv: ['sh', '-c', anchorsScript] }, { input, signal })
  const answers = stdout.split('= ').slice(1)
  if (code !== 0 || answers.length !== pairs.length)
    throw new Problem('the builder can make no patches', { detail: stderr.trim() })
  const planned = new Map<StorePath, Patched>()
  for (const [index, pair] of pairs.entries()) {
    const sizes = { inNew: pair.info.narSize, inOld: pair.base.narSize }
    const [found, ...lines] = (answers[index] ?? '').trimEnd().split('\n')
    // What was counted another way than the store did is no use.
    const anchors = found === `${sizes.inNew} ${sizes.inOld}` ? lines.map(anchorIn) : []
    planned.set(pair.info.path, { ...pair, windows: planWindows(sizes, anchors) })
  }
  return planned
}

function anchorIn(line: string): Anchor {
  const [inNew, inOld] = line.split(' ')
  return [Number(inNew), Number(inOld)]
}

export interface Patches {
  /** The next one, in the order of the paths and their windows. */
  next(): Promise<Buffer>
  close(): void
}

/** Windows of a large path are shared out. */
const windowsOfJob = 16
/** Eleven digits and a line end. */
const sizeLength = 12

/** `level` as zstd counts them. */
export async function openPatches(
  machine: Machine,
  patched: readonly Patched[],
  level: number,
  signal: AbortSignal,
): Promise<Patches> {
  const channel = await machine.open({ argv: ['sh', '-c', encoderScript, 'sh', `-${level}`] }, signal)
  // What goes wrong with it is seen where the patches are missed.
  channel.stdin.on('error', () => {})
  channel.stdin.write(`${patched.flatMap(jobsOf).join('')}.\n`)
  const reader = new WireReader(channel.stdout)
  return {
    async next() {
      try {
        const size = (await reader.bytes(sizeLength)).toString('latin1')
        if (!/^\d{11}\n$/.test(size)) throw new Problem(`${JSON.stringify(size)} as the size of a patch`)
        return await reader.bytes(Number(size))
      } catch (cause) {
        throw new Problem('the builder makes no more patches', { detail: channel.errorOutput().trim(), cause })
      }
    },
    close: () => channel.close(),
  }
}

/** Lines for the encoder. */
function jobsOf({ info, base, windows }: Patched): string[] {
  const jobs: string[] = []
  let skip = 0
  for (let first = 0; first < windows.length; first += windowsOfJob) {
    const own = windows.slice(first, first + windowsOfJob)
    const steps = stepsOf(own).map(({ bytes, drop, skip, add }) => [bytes, drop, skip, add].join(','))
    jobs.push(`${[info.path, base.path, skip, ...steps].join(' ')}\n`)
    skip += own.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  return jobs
}

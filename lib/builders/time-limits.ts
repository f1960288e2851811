/** Nix's limits of time for builds, kept by this machine for a store that is told no settings. */
import type { Clock } from '../clock.ts'
import { activities, results, shortName } from '../nix/activity.ts'
import type { NixEvent } from '../nix/store.ts'
import { Problem } from '../problem.ts'
import type { NixSetting } from './builder.ts'

/** Of nix.conf(5): for how long a build may go on, and say nothing, in seconds. */
export const timeLimits = ['timeout', 'max-silent-time'] as const

export interface LimitWatch {
  /** All that the store says of its builds. */
  on(event: NixEvent): void
  /** Of the first build that went on for too long. */
  problem(): Problem | undefined
  end(): void
}

/** `onLimit` is called once, at the first build that goes on for too long. */
export function watchLimits(
  settings: readonly NixSetting[],
  { clock, whereLogIs, onLimit }: { clock: Clock; whereLogIs(derivation: string): string; onLimit(): void },
): LimitWatch {
  const [total, silent] = timeLimits.map((name) => limitOf(settings, name))
  const builds = new Map<number, { lastMs: number; over: AbortController }>()
  let found: Problem | undefined

  async function watch(id: number, derivation: string): Promise<void> {
    const begunMs = clock.monotonic()
    const build = { lastMs: begunMs, over: new AbortController() }
    builds.set(id, build)
    for (;;) {
      const [left, limit] = [
        [begunMs + (total?.ms ?? Number.POSITIVE_INFINITY) - clock.monotonic(), total] as const,
        [build.lastMs + (silent?.ms ?? Number.POSITIVE_INFINITY) - clock.monotonic(), silent] as const,
      ].reduce((first, other) => (other[0] < first[0] ? other : first))
      if (limit === undefined) return
      if (left <= 0) return exceeded(derivation, limit)
      // Of a longer time, a timer knows nothing.
      await clock.sleep(Math.min(left, 2 ** 31 - 1), build.over.signal)
    }
  }

  function exceeded(derivation: string, { name, seconds }: Limit): void {
    if (found !== undefined) return
    found = new Problem(`build of ${shortName(derivation)} failed`, {
      stage: 'build',
      detail: `timed out after ${seconds} seconds${name === 'timeout' ? '' : ' of silence'}`,
      hints: [
        whereLogIs(derivation),
        `the limit is \`${name}\` of --option, which this machine keeps: it has called off all builds there`,
      ],
    })
    onLimit()
  }

  function forget(id: number): void {
    builds.get(id)?.over.abort()
    builds.delete(id)
  }

  return {
    on(event) {
      if (event.kind === 'start' && event.type === activities.build) {
        watch(event.id, String(event.fields[0] ?? '')).catch(() => {})
      } else if (event.kind === 'stop') forget(event.id)
      else if (event.kind === 'result' && event.type === results.buildLogLine) {
        const build = builds.get(event.id)
        if (build) build.lastMs = clock.monotonic()
      }
    },
    problem: () => found,
    end() {
      for (const id of [...builds.keys()]) forget(id)
    },
  }
}

interface Limit {
  readonly name: string
  readonly seconds: number
  readonly ms: number
}

/** As in nix.conf, 0 is none, and the last one counts. */
function limitOf(settings: readonly NixSetting[], name: string): Limit | undefined {
  const [, value = ''] = settings.findLast(([setting]) => setting === name) ?? []
  const seconds = /^\d+$/.test(value) ? Number(value) : 0
  return seconds > 0 ? { name, seconds, ms: seconds * 1000 } : undefined
}

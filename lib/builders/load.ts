/** How busy a machine is, and which of several builders is used. */
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { Builder, BuilderEvents } from './builder.ts'
import { memoryFor } from './memory.ts'

/** What a machine doesn't say is undefined. */
export interface Load {
  /** processes that run or want to, on each of its processors: the average of a minute */
  readonly perProcessor: number | undefined
  readonly availableBytes: number | undefined
}

const loadScript = `cat /proc/loadavg 2> /dev/null || echo
nproc 2> /dev/null || echo
sed -n 's/^MemAvailable: *//p' /proc/meminfo 2> /dev/null`

export async function askLoad(machine: Machine, signal: AbortSignal): Promise<Load> {
  const { stdout } = await machine.run({ argv: ['sh', '-c', loadScript] }, { signal, timeoutMs: 30_000 })
  const [average, processors, kibibytes] = stdout.split('\n').map((line) => Number.parseFloat(line))
  const known = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? value : undefined)
  return {
    perProcessor: known((average ?? Number.NaN) / (processors ?? Number.NaN)),
    availableBytes: known((kibibytes ?? Number.NaN) * 1024),
  }
}

const lacksMemory = ({ availableBytes }: Load) => availableBytes !== undefined && availableBytes < memoryFor(1)
const isBusy = (load: Load) => lacksMemory(load) || (load.perProcessor ?? 0) >= 1
const lessBusy = (one: Load, other: Load) =>
  Number(lacksMemory(one)) - Number(lacksMemory(other)) || (one.perProcessor ?? 0) - (other.perProcessor ?? 0)

/**
 * The first one that can be reached and isn't busy, since it has most of what it needs from the time before; or else
 * the one with the least load. Rejects with a Problem when none can be reached.
 */
export async function leastBusy(
  builders: readonly Builder[],
  { events, signal }: { events: BuilderEvents; signal: AbortSignal },
): Promise<Builder> {
  const busy: { builder: Builder; load: Load }[] = []
  const problems: Problem[] = []
  for (const builder of builders) {
    events.progress(`asking ${builder.name} how busy it is`)
    try {
      const load = await builder.load(signal)
      if (!isBusy(load)) return builder
      busy.push({ builder, load })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Problem)) throw error
      problems.push(error)
      events.warning(`builder ${builder.name} is left out: ${error.message}`)
    }
  }
  const [best] = busy.sort((one, other) => lessBusy(one.load, other.load))
  if (best) return best.builder
  throw new Problem(`none of the builders ${builders.map(({ name }) => name).join(', ')} can be used`, {
    detail: problems.map((problem) => [problem.message, problem.detail].filter(Boolean).join('\n')).join('\n'),
    hints: problems.flatMap(({ hints }) => hints),
  })
}

/** Which of several builders is used. */
import { Problem } from '../problem.ts'
import type { Builder, BuilderEvents } from './builder.ts'
import type { Load } from './load.ts'
import { memoryFor } from './memory.ts'

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

/** How busy a machine is. */
import type { Machine } from '../machine/machine.ts'

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

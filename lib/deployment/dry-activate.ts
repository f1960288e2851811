/** `--mode dry-activate`: what a switch would do, as the new system itself says it. Nothing is changed. */
import { verbCommand } from '../activation/host-program.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import type { Session } from './session.ts'
import type { Tools } from './tools.ts'

export async function dryActivate(place: { host: Host; session: Session; tools: Tools }, system: string) {
  const { host, session, tools } = place
  const machine = await session.machine(tools.signal)
  const seconds = String(Math.ceil(host.activation.timeoutMs / 1000))
  tools.report({ kind: 'stage', host: host.name, stage: 'activate' })
  const finished = await machine.run(verbCommand('dry-activate', system, seconds), {
    input: tools.program,
    // The host keeps the limit itself; this is for one that hangs.
    timeoutMs: host.activation.timeoutMs + 60_000,
    signal: tools.signal,
  })
  const lines = finished.stdout.trimEnd().split('\n')
  const exit = lines.pop()
  if (exit !== 'exit 0') {
    throw new Problem(`switch-to-configuration dry-activate failed (${exit})`, { detail: lines.join('\n') })
  }
  return { kind: 'dry-activated' as const, reason: 'nothing was changed', detail: lines.join('\n') }
}

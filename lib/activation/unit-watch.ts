/** The health of the host's units while a deployment waits for its confirmation, judged on the host. */
import { createInterface } from 'node:readline'
import type { Machine } from '../machine/machine.ts'
import { type HostProgram, verbCommand } from './host-program.ts'
import { whyNot } from './host-state.ts'

export interface UnitProblem {
  readonly unit: string
  /** what the unit does instead of running: `failed`, `keeps restarting` */
  readonly why: string
  /** no waiting makes it better */
  readonly final: boolean
}

/** One answer: what got worse since before the switch. Empty: nothing did. */
export type UnitProblems = readonly UnitProblem[]

/**
 * Answers as long as it is iterated: whenever something changes, and every few seconds; `over` when the host no
 * longer waits for the confirmation (it goes back by itself when nobody confirms). Ends when contact is lost.
 */
export async function* watchUnits(
  tools: { machine: Machine; program: HostProgram },
  id: string,
  signal: AbortSignal,
): AsyncGenerator<UnitProblems | 'over'> {
  const channel = await tools.machine.open(verbCommand('watch', id), signal)
  const close = () => channel.close()
  signal.addEventListener('abort', close, { once: true })
  try {
    // Standard input stays open: its end is what tells the host to stop watching.
    channel.stdin.on('error', () => {})
    channel.stdin.write(tools.program)
    let problems: UnitProblem[] = []
    for await (const line of createInterface({ input: channel.stdout })) {
      const [, unit, verdict, why] = /^unit (\S+) (final|passing) (.+)$/.exec(line) ?? []
      if (unit !== undefined && why !== undefined) problems.push({ unit, why, final: verdict === 'final' })
      else if (line.startsWith('units ')) {
        yield problems
        problems = []
      } else if (line === 'over') yield 'over'
    }
    const exit = await channel.exit
    if (!exit.lost && exit.code !== 0 && !signal.aborted) {
      throw await whyNot(tools.machine, { stderr: channel.errorOutput(), code: exit.code })
    }
  } finally {
    signal.removeEventListener('abort', close)
    channel.close()
  }
}

/** The health of the host's units while a deployment waits for its confirmation, judged on the host. */
import { createInterface } from 'node:readline'
import type { Machine } from '../machine/machine.ts'
import { type HostProgram, verbCommand } from './host-program.ts'

/** One answer: what got worse since before the switch, `UNIT WHY` each. Empty: nothing did. */
export type UnitProblems = readonly string[]

/** Answers as long as it is iterated: whenever something changes, and every few seconds. Ends when contact is lost. */
export async function* watchUnits(
  tools: { machine: Machine; program: HostProgram },
  id: string,
  signal: AbortSignal,
): AsyncGenerator<UnitProblems> {
  const channel = await tools.machine.open(verbCommand('watch', id), signal)
  const close = () => channel.close()
  signal.addEventListener('abort', close, { once: true })
  try {
    // Standard input stays open: its end is what tells the host to stop watching.
    channel.stdin.on('error', () => {})
    channel.stdin.write(tools.program)
    let problems: string[] = []
    for await (const line of createInterface({ input: channel.stdout })) {
      if (line.startsWith('unit ')) problems.push(line.slice('unit '.length))
      else if (line.startsWith('units ')) {
        yield problems
        problems = []
      }
    }
  } finally {
    signal.removeEventListener('abort', close)
    channel.close()
  }
}

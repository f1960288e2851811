import t from 'tap'
import type { Builder } from '../../lib/builders/builder.ts'
import { concludeOutcomes } from '../../lib/cli/conclude.ts'
import type { ControlMachine } from '../../lib/cli/control-machine.ts'
import { rollOut } from '../../lib/deployment/rollout.ts'
import type { Tools } from '../../lib/deployment/tools.ts'
import type { Host } from '../../lib/inventory/inventory.ts'
import { readInventory } from '../../lib/inventory/read.ts'
import { Problem } from '../../lib/problem.ts'
import { FakeClock } from '../checks/fake-clock.ts'
import { recordingTerminal } from '../cli/recording-terminal.ts'

function hosts(): Host[] {
  const text = JSON.stringify({
    flake: '.',
    builders: { forge: { ssh: 'forge' } },
    defaults: { builder: 'forge', system: 'x86_64-linux' },
    hosts: { dave: { ssh: 'dave' }, erin: { ssh: 'erin' } },
  })
  return [...readInventory(text, '/hosts.yaml').hosts.values()]
}

function toolsWith(connect: Tools['network']['connect']): Tools {
  const clock = new FakeClock()
  const never = new AbortController().signal
  const builder = { evaluate: async () => ({ configurations: new Map() }) } as unknown as Builder
  const parts = { network: { connect }, clock, report() {}, builder: () => builder, signal: never, giveUp: never }
  return parts as unknown as Tools
}

t.test('an error of ours ends the story of one host and no other, and is told as ours', async (t) => {
  const tools = toolsWith(async ({ name }) => {
    if (name === 'erin') throw new Problem('no answer from erin', { kind: 'unreachable' })
    throw new TypeError("Cannot read properties of undefined (reading 'x')")
  })
  const limits = { preflight: 2, copy: 2, activate: 2 }
  const evaluation = { impure: false, showTrace: false, refresh: false, options: [], overrideInputs: [] }
  const rollout = { hosts: hosts(), mode: 'switch' as const, evaluation, limits }
  const outcomes = await rollOut(rollout, tools)
  t.match(outcomes, [
    { host: 'dave', kind: 'untouched', internal: true, reason: /^internal: Cannot read properties/ },
    { host: 'erin', kind: 'unreachable', internal: false },
  ])

  const told = (verbose: boolean, debug: boolean) => {
    const terminal = recordingTerminal()
    const machine = { terminal, signal: tools.signal, debug } as unknown as ControlMachine
    const code = concludeOutcomes(outcomes, { json: false, verbose }, machine)
    return { code, text: terminal.text.out }
  }
  t.equal(told(false, false).code, 70)
  t.notMatch(told(false, false).text, /internal\.test\.ts/)
  t.match(told(true, false).text, /internal\.test\.ts/)
  t.match(told(false, true).text, /internal\.test\.ts/)
})

/** `deploy doctor [HOST..|--builders]` */
import type { Diagnosis } from '../deployment/doctor/doctor.ts'
import { kindOf } from '../deployment/outcome.ts'
import type { Tools } from '../deployment/tools.ts'
import { builderSpec } from '../inventory/builders.ts'
import type { Host, Inventory } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import { padded } from '../screen/width.ts'
import { atWork } from './at-work.ts'
import { chosenHosts, readInventoryAt } from './chosen-hosts.ts'
import { codeOf, jsonText } from './conclude.ts'
import type { ControlMachine } from './control-machine.ts'
import { doctorLines } from './doctor-lines.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { hostWidth } from './outcome-lines.ts'
import { verb } from './verb.ts'

export const doctor = verb({
  name: 'doctor',
  words: '[host..]',
  summary: 'check everything that a deployment will need, and say what to do; nothing is changed',
  examples: [
    ['$0 doctor dave', 'dave, this machine, and the builder that builds for it'],
    ['$0 doctor --builders', 'every builder, and no host'],
  ],
  options: {
    ...selectionOptions,
    builders: { type: 'boolean', describe: 'every builder of the inventory, and no host', group: 'Hosts' },
    ...outputOptions,
  } as const,
  async run(given, machine) {
    const { inventory, hosts } = given.builders ? await onlyBuilders(given, machine) : await chosenHosts(given, machine)
    const patients = await patientsOf(inventory, hosts)
    const diagnoses = await atWork({ inventory, hosts: patients, verbose: given.verbose }, machine, (tools) =>
      Promise.all(
        patients.map(async ({ name, diagnose, is }) => {
          tools.report({ kind: 'progress', host: name, stage: 'preflight', text: 'looking at it' })
          const diagnosis = await diagnose(tools)
          tools.report({ kind: 'done', host: name })
          return { ...diagnosis, is }
        }),
      ),
    )
    return conclude(diagnoses, given, machine)
  },
})

interface Patient {
  readonly name: string
  readonly is: 'control' | 'builder' | 'host'
  diagnose(tools: Tools): Promise<Diagnosis>
}

async function onlyBuilders(
  given: { words: readonly string[]; all: boolean | undefined; hosts: string | undefined },
  machine: ControlMachine,
): Promise<{ inventory: Inventory; hosts: Host[] | undefined }> {
  if (given.words.length > 0 || given.all) {
    throw new Problem('--builders is every builder and no host', {
      kind: 'usage',
      hints: ['name hosts without it: their builders are looked at as well'],
    })
  }
  return { inventory: await readInventoryAt(given.hosts, machine), hosts: undefined }
}

/** In the order in which one depends on the other. Of undefined hosts, all builders. */
async function patientsOf(inventory: Inventory, hosts: readonly Host[] | undefined): Promise<Patient[]> {
  const { diagnoseBuilder, diagnoseControl, diagnoseHost } = await import('../deployment/doctor/doctor.ts')
  const all = [...inventory.hosts.values()]
  const named = (hosts ?? all).flatMap(({ builders }) => builders)
  const specOf = (name: string) => builderSpec(inventory.builders, name)
  const evaluators = named.map(specOf).flatMap((spec) => (spec.kind === 'store' ? [spec.evaluateOn] : []))
  const names = new Set([...(hosts ? [] : inventory.builders.keys()), ...evaluators, ...named])
  const specs = [...names].map(specOf)
  const destinations = [
    ...specs.flatMap((spec) => (spec.kind === 'ssh' ? [spec.destination] : [])),
    ...(hosts ?? []).map(({ destination }) => destination),
  ]
  return [
    {
      name: 'this machine',
      is: 'control',
      diagnose: (tools) => diagnoseControl(inventory, destinations, tools),
    },
    ...specs.map((spec) => ({
      name: spec.name,
      is: 'builder' as const,
      diagnose: (tools: Tools) =>
        diagnoseBuilder(
          spec,
          (hosts ?? all).filter(({ builders }) => builders.includes(spec.name)),
          tools,
        ),
    })),
    ...(hosts ?? []).map((host) => ({
      name: host.name,
      is: 'host' as const,
      diagnose: (tools: Tools) => diagnoseHost(host, tools),
    })),
  ]
}

function conclude(
  diagnoses: readonly (Diagnosis & Pick<Patient, 'is'>)[],
  output: { json: boolean | undefined; verbose: boolean | undefined },
  machine: ControlMachine,
): number {
  const problems = diagnoses.flatMap(({ findings }) => findings.flatMap(({ kind }) => (kind ? [kind] : [])))
  const kinds = problems.map((kind) => kindOf({ kind }))
  const code = codeOf({ kinds, someInternal: problems.includes('internal') }, machine)
  const { out } = machine.terminal
  if (output.json) {
    const data = (kind: Patient['is']) =>
      diagnoses
        .filter(({ is }) => is === kind)
        .map(({ name, findings }) => ({
          ...(kind !== 'control' && { [kind]: name }),
          findings: findings.map(({ about, level, text, hints, detail }) => ({ about, level, text, hints, detail })),
        }))
    const [control] = data('control')
    out.write(jsonText({ control, builders: data('builder'), hosts: data('host'), exitCode: code }))
    return code
  }
  const room = { columns: out.columns, verbose: output.verbose ?? false }
  const shown = ({ name, is }: Pick<Patient, 'name' | 'is'>) => (is === 'builder' ? `builder ${name}` : name)
  const width = hostWidth(diagnoses.map(shown))
  for (const one of diagnoses) out.print(doctorLines(padded(shown(one), width), one, room))
  return code
}

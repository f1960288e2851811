/** `deploy doctor [HOST..|--builders]` */
import type { Diagnosis } from '../deployment/doctor/doctor.ts'
import { kindOf } from '../deployment/outcome.ts'
import type { Tools } from '../deployment/tools.ts'
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
    ['$0 doctor dave', 'dave, and the builder that builds for it'],
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
        patients.map(async ({ name, diagnose, isBuilder }) => {
          tools.report({ kind: 'progress', host: name, stage: 'preflight', text: 'looking at it' })
          const diagnosis = await diagnose(tools)
          tools.report({ kind: 'done', host: name })
          return { ...diagnosis, isBuilder }
        }),
      ),
    )
    return conclude(diagnoses, given, machine)
  },
})

interface Patient {
  readonly name: string
  readonly isBuilder: boolean
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

/** Builders first: without them nothing gets to a host. Of undefined hosts, all builders. */
async function patientsOf(inventory: Inventory, hosts: readonly Host[] | undefined): Promise<Patient[]> {
  const { diagnoseBuilder, diagnoseHost } = await import('../deployment/doctor/doctor.ts')
  const all = [...inventory.hosts.values()]
  const names = new Set([
    ...(hosts ? [] : inventory.builders.keys()),
    ...(hosts ?? all).flatMap(({ builders }) => builders),
  ])
  return [
    ...[...names].map((name) => ({
      name,
      isBuilder: true,
      diagnose: (tools: Tools) => {
        const spec = inventory.builders.get(name) ?? ({ kind: 'local', name } as const)
        return diagnoseBuilder(
          spec,
          (hosts ?? all).filter(({ builders }) => builders.includes(name)),
          tools,
        )
      },
    })),
    ...(hosts ?? []).map((host) => ({
      name: host.name,
      isBuilder: false,
      diagnose: (tools: Tools) => diagnoseHost(host, tools),
    })),
  ]
}

function conclude(
  diagnoses: readonly (Diagnosis & { isBuilder: boolean })[],
  output: { json: boolean | undefined; verbose: boolean | undefined },
  machine: ControlMachine,
): number {
  const problems = diagnoses.flatMap(({ findings }) => findings.flatMap(({ kind }) => (kind ? [kind] : [])))
  const kinds = problems.map((kind) => kindOf({ kind }))
  const code = codeOf({ kinds, someInternal: problems.includes('internal') }, machine)
  const { out } = machine.terminal
  if (output.json) {
    const data = (builders: boolean) =>
      diagnoses
        .filter(({ isBuilder }) => isBuilder === builders)
        .map(({ name, findings }) => ({
          [builders ? 'builder' : 'host']: name,
          findings: findings.map(({ about, level, text, hints, detail }) => ({ about, level, text, hints, detail })),
        }))
    out.write(jsonText({ builders: data(true), hosts: data(false), exitCode: code }))
    return code
  }
  const room = { columns: out.columns, verbose: output.verbose ?? false }
  const shown = ({ name, isBuilder }: { name: string; isBuilder: boolean }) => (isBuilder ? `builder ${name}` : name)
  const width = hostWidth(diagnoses.map(shown))
  for (const one of diagnoses) out.print(doctorLines(padded(shown(one), width), one, room))
  return code
}

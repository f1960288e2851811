/** `deploy doctor`: what would keep a deployment from working, found by one question to each machine. Nothing is changed. */
import type { BuilderSpec, Host, Inventory, StoreSpec } from '../../inventory/inventory.ts'
import { hasLogins } from '../../inventory/key-hosts.ts'
import type { Machine } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import { brokenKeys } from '../keys/broken.ts'
import { asProblem, eventsOf } from '../realise.ts'
import { openSession } from '../session.ts'
import type { Tools } from '../tools.ts'
import { supported } from './checks/supported.ts'
import { examineControl } from './control.ts'
import { examineHost, examineMachine } from './examine.ts'
import { badProblem, careful, type DoctorCheck, type Finding, type Found, good } from './finding.ts'
import { builderChecks, controlChecks, hostChecks } from './index.ts'

export interface Diagnosis {
  readonly name: string
  readonly findings: readonly Finding[]
}

const loginTimeoutMs = 15_000

export async function diagnoseHost(host: Host, tools: Tools): Promise<Diagnosis> {
  const { clock, signal, program } = tools
  const unsupported = named(supported, supported.look({ host }))
  const session = openSession(host, tools.network)
  const findings = await atLogin(
    host.name,
    () => session.machine(signal),
    async (machine) => {
      const asking = { clock, signal, substituters: host.copy.substitute, elevation: host.elevation }
      const facts = await examineHost(machine, program, asking)
      const told = hostChecks.filter(({ asRoot }) => !asRoot || facts.state.isRoot)
      const ofKeys = facts.state.isRoot ? await keyFindings(host, tools, machine) : []
      return [...lookAt(told, { host, facts, now: clock.now() }), ...ofKeys]
    },
  )
  await session.close()
  return { name: host.name, findings: [...unsupported, ...findings] }
}

/** This machine. `destinations`: what is logged in to. */
export async function diagnoseControl(
  inventory: Inventory,
  destinations: readonly string[],
  { here, signal }: Tools,
): Promise<Diagnosis> {
  const name = 'this machine'
  const { machine, nodeVersion } = here
  const findings = await answered(name, async () =>
    lookAt(controlChecks, await examineControl(machine, { inventory, destinations, nodeVersion, signal })),
  )
  return { name, findings }
}

/** `hosts`: those that are built there. */
export async function diagnoseBuilder(spec: BuilderSpec, hosts: readonly Host[], tools: Tools): Promise<Diagnosis> {
  const { name } = spec
  if (spec.kind === 'store') return { name, findings: await storeFindings(spec, tools) }
  const keyHost = spec.kind === 'ssh' ? spec.keyHost : undefined
  const examine = async (machine: Machine) => [
    ...(await builderFindings(machine, hosts, tools)),
    ...(keyHost ? await keyFindings(keyHost, tools, machine) : []),
  ]
  if (spec.kind === 'local') {
    return { name, findings: await answered(name, () => examine(tools.here.machine)) }
  }
  const { signal } = tools
  const elevation = keyHost?.elevation ?? 'none'
  const login = { name, destination: spec.destination, elevation, timeoutMs: loginTimeoutMs } as const
  let machine: Machine | undefined
  const connect = async () => {
    machine = await tools.network.connect(login, signal)
    return machine
  }
  const findings = await atLogin(name, connect, examine)
  await machine?.close()
  return { name, findings }
}

async function builderFindings(
  machine: Machine,
  hosts: readonly Host[],
  { clock, signal }: Pick<Tools, 'clock' | 'signal'>,
): Promise<Finding[]> {
  const facts = await examineMachine(machine, { clock, signal, substituters: true })
  const systems = new Set(hosts.map(({ system }) => system))
  const wanted = new Map(
    [...systems].map((system) => [system, hosts.filter((host) => host.system === system).map((host) => host.name)]),
  )
  return lookAt(builderChecks, { facts, wanted })
}

/** Where there is no shell: whether its store answers. */
async function storeFindings({ name, buildHook, evaluateOn }: StoreSpec, tools: Tools): Promise<Finding[]> {
  const look = async () => {
    const signal = AbortSignal.any([tools.signal, AbortSignal.timeout(30_000)])
    const builder = await tools.builder([name], { events: eventsOf('preflight', [{ name }], tools), signal })
    const store = await builder.openStore(signal)
    store.close()
    if (buildHook) {
      return good(`Nix ${store.version} of ${evaluateOn} has it built there, by root's login, which was not tried`)
    }
    const trust = { true: ', and trusts this login', false: ', and takes what is signed or content-addressed' }
    return good(`Nix ${store.version} answers${store.trusted === undefined ? '' : trust[`${store.trusted}`]}`)
  }
  return named({ about: 'store' }, await look().catch((error: unknown) => problemFound(name, error)))
}

/** Another question, for hosts that have keys at nixbuild.net managed. Without an answer, the rest is told all the same. */
async function keyFindings(host: Host, tools: Tools, machine: Machine): Promise<Finding[]> {
  if (!hasLogins(host)) return []
  let broken: Awaited<ReturnType<typeof brokenKeys>>
  try {
    broken = await brokenKeys(host, tools, machine)
  } catch (error) {
    if (!(error instanceof Problem) || tools.signal.aborted) throw error
    return named({ about: 'nixbuild.net keys' }, careful(error.message, ...error.hints))
  }
  return broken.flatMap(({ whose, findings }) => {
    const about = { about: whose }
    if (findings.length === 0) return named(about, good('in order'))
    return findings.flatMap(({ text, mend }) => named(about, careful(text, mend)))
  })
}

const problemFound = (name: string, error: unknown): Found => badProblem(asProblem(error, { name }, 'preflight'))

/** The login is a check of its own; without it, or without an answer, nothing else is known. */
async function atLogin(
  name: string,
  connect: () => Promise<Machine>,
  examine: (machine: Machine) => Promise<Finding[]>,
): Promise<Finding[]> {
  let machine: Machine
  try {
    machine = await connect()
  } catch (error) {
    return named({ about: 'login' }, problemFound(name, error))
  }
  const login = named({ about: 'login' }, good(`${machine.user} at ${machine.address}, whose host key is known`))
  return [...login, ...(await answered(name, () => examine(machine)))]
}

/** What was found, or that the question came to nothing. */
const answered = (name: string, examine: () => Promise<Finding[]>): Promise<Finding[]> =>
  examine().catch((error: unknown) => named({ about: 'question' }, problemFound(name, error)))

const lookAt = <T>(checks: readonly DoctorCheck<T>[], subject: T): Finding[] =>
  checks.flatMap((check) => named(check, check.look(subject)))

const named = ({ about }: { readonly about: string }, found: Found | undefined): Finding[] =>
  found ? [{ about, ...found }] : []

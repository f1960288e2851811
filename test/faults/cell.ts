/** One cell: a deployment is held at a stage, something happens to it, and the invariants are looked at. */
import type { HostState } from '../../lib/activation/host-state.ts'
import * as lab from '../lab/lab.mjs'
import { over, overWithReboots } from '../scenarios/eventually.ts'
import { type Facts, type Stage as Machines, setStage } from '../scenarios/stage.ts'
import type { Fault } from './faults.ts'
import { arm, held, holdable, prepareMachines, release } from './hold.ts'
import { type Evidence, type Violation, violations } from './invariants.ts'
import { type Journey, type Knobs, reboots, type Stage } from './stages.ts'

export interface CellResult {
  readonly violations: readonly Violation[]
  /** what `deploy` said of it */
  readonly said: string
  /** the disk can be used for the next cell */
  readonly usable: boolean
}

/** One check that a stage can hold; the shortest window that has room for it. */
const defaults = {
  activation: { timeout: '10s', confirmWithin: '18s', settle: '1s', rebootWithin: '30s' },
  checks: [{ command: ['/run/current-system/sw/bin/hold', 'checks'], timeout: '2s' }],
}

let systems = 0
/** Knobs of a system that the host hasn't had yet. */
const something = (knobs: Knobs = () => ({})) => {
  systems++
  const { services, ...others } = knobs(systems)
  const base = holdable(systems)
  return { ...base, ...others, services: { ...base.services, ...(services as object | undefined) } }
}

/** Machines with new disks, on a system that can be held, with one before it. */
export async function freshMachines(): Promise<Machines> {
  const machines = await setStage({ defaults })
  await prepareMachines(machines)
  await machines.onControl("printf 'Host *\\n  ServerAliveInterval 3\\n' >> .ssh/config")
  for (let turn = 0; turn < 2; turn++) await settle(machines)
  return machines
}

/** A healthy new system, with nobody in its way. */
async function settle(machines: Machines) {
  await machines.configure('dave', something())
  const { outcome } = await machines.deployHost('dave')
  if (outcome.kind !== 'deployed') throw new Error(`the lab: ${outcome.kind}: ${outcome.reason}\n${outcome.detail}`)
}

const broken = { services: { broken: { type: 'oneshot', script: 'exit 1' } } }
const anotherKernel: Knobs = (number) => ({ kernel: { version: `7.2.${number}`, size: 100_000 } })
const knobsOf: Readonly<Record<Journey, Knobs>> = {
  deploy: () => ({}),
  rollback: () => ({}),
  unhealthy: () => broken,
  unbootable: () => ({ switch: { noBootLoader: 'no boot loader today' } }),
  reboot: anotherKernel,
  return: (number) => ({ ...anotherKernel(number), ...broken }),
}
const wordsOf = (journey: Journey) =>
  journey === 'rollback' ? ['rollback', 'dave'] : ['dave', ...(reboots(journey) ? ['--reboot'] : [])]

export async function runCell(machines: Machines, stage: Stage, fault: Fault): Promise<CellResult> {
  const { journey } = stage
  const knobs: Knobs = (number) => ({ ...knobsOf[journey](number), ...stage.knobs?.(number), ...fault.knobs?.(number) })
  if (journey !== 'rollback') await machines.configure('dave', something(knobs))
  const was = await tidied(machines)
  const tracesBefore = await traces()

  await arm(stage.at)
  const deploying = machines.start(...wordsOf(journey))
  await Promise.race([
    held(stage.at),
    deploying.finished.then(({ stderr }) => Promise.reject(new Error(`never came to ${stage.name}:\n${stderr}`))),
  ])

  const ended = limited(deploying.finished, 240)
  const scene = { machines, deploying, ended, over: () => endOn(machines, journey) }
  await fault.apply(scene)
  await release(stage.at)
  await fault.lift?.(scene)
  // Contact may have to be made again before it ends: the host is looked at first.
  const first = await isOver(machines, journey)
  if (fault.allows?.silence === undefined && first.stuck === '')
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20_000))])
  const last = first.stuck === '' ? await isOver(machines, journey) : first
  let is = await machines.facts('dave')
  await fault.mend?.(scene)
  const told = await ended
  if (told !== undefined && last.stuck === '') is = await machines.facts('dave')
  const unreachable = await whyUnreachable()
  const status = await statusOf(machines)
  const left = (await untilSame(tracesBefore)).filter((trace) => !tracesBefore.includes(trace))

  if (!['deploy', 'reboot'].includes(journey)) {
    await machines.configure('dave', something())
  }
  const next = await machines.deploy('dave')
  const evidence: Evidence = {
    stage,
    allows: fault.allows ?? {},
    was,
    is,
    told,
    outcome: told?.outcomes['dave'],
    overAt: endOf(was, is) ?? last.at,
    stuck: last.stuck,
    unreachable,
    status,
    asked: journey === 'rollback' ? systemBefore(was) : (next.outcomes['dave']?.toplevel ?? ''),
    traces: left,
    next: { told: next, outcome: next.outcomes['dave'], is: await machines.facts('dave') },
  }
  const found = violations(evidence)
  const outcome = evidence.outcome
  return {
    violations: found,
    said: outcome
      ? `${outcome.kind}${outcome.reason && `: ${outcome.reason}`} (${told?.code})`
      : `nothing (${told?.code ?? 'no end'})`,
    usable: found.length === 0,
  }
}

/** Generations are not to become many: the boot menu is written anew for each. */
async function tidied(machines: Machines): Promise<Facts> {
  const facts = await machines.facts('dave')
  if (Object.keys(facts.generations).length < 10) return facts
  const profile = '/nix/var/nix/profiles/system'
  await machines.inside('dave', `nix-env -p ${profile} --delete-generations +3 >&2 && nix-collect-garbage >&2`)
  await machines.inside('dave', `${profile}/bin/switch-to-configuration boot >&2 && sync`)
  return machines.facts('dave')
}

/** When the host itself says that it was over; undefined when it wrote nothing. */
function endOf(was: Facts, is: Facts): number | undefined {
  const ended = is.history.length > was.history.length ? is.history.at(-1)?.['ended'] : undefined
  return ended === undefined ? undefined : Date.parse(ended) / 1000
}

/** As `deploy rollback` reckons: in the order of their first generation. */
function systemBefore({ generations, running }: Facts): string {
  const numbers = Object.keys(generations).sort((a, b) => Number(a) - Number(b))
  const systems = [...new Set(numbers.map((number) => generations[number] ?? ''))]
  return systems[systems.indexOf(running) - 1] ?? ''
}

async function endOn(machines: Machines, journey: Journey): Promise<void> {
  if (!reboots(journey)) await over('dave', machines)
  if (reboots(journey) || (await isRebooting())) await overWithReboots('dave', machines)
}

/** As the last resort. */
const isRebooting = () =>
  lab.inside('dave', "grep -qs '^result rebooting' /run/deploy/result").then(
    ({ code }) => code !== 1,
    () => true,
  )

async function isOver(machines: Machines, journey: Journey): Promise<{ at: number; stuck: string }> {
  const why = await endOn(machines, journey).then(
    () => '',
    () => 'the lock is still there',
  )
  const state =
    why &&
    (
      await lab.inside('dave', 'cat /run/deploy/*/state; systemctl list-units --no-legend --plain "deploy-*"')
    ).stdout.trim()
  const { stdout } = await lab.inside('dave', 'date +%s')
  return { at: Number(stdout), stuck: why && `${why} (${state.replaceAll('\n', '; ')})` }
}

async function limited<T>(promise: Promise<T>, seconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), seconds * 1000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function whyUnreachable(): Promise<string> {
  let why = ''
  for (let turn = 0; turn < 10; turn++) {
    const { code, stderr } = await lab.ssh('dave', 'sudo -n true', { timeout: 10_000 })
    if (code === 0) return ''
    why = stderr.trim() || `exit code ${code}`
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  return why
}

async function statusOf(machines: Machines): Promise<HostState | undefined> {
  const { stdout } = await machines.deploy('status', 'dave', '--json')
  const { hosts = [] } = JSON.parse(stdout) as { hosts?: (HostState & { error?: unknown })[] }
  return hosts[0]?.error === undefined ? hosts[0] : undefined
}

/** Processes and files that are there because of a deployment, on all three machines. */
async function traces(): Promise<string[]> {
  const look = {
    dave: "pgrep -af 'nix-daemo[n] --stdio|/run/deplo[y]/|^/bin/sh -s' | cut -d' ' -f2-; find /var/lib/deploy -name '*.new'",
    forge: "pgrep -af 'nix-daemo[n] --stdio|nix .*eva[l] ' | cut -d' ' -f2-",
    control: "pgrep -af 'bin/deplo[y] ' | cut -d' ' -f2-",
  }
  const files = "; find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name '.*-unix'"
  const all = Object.entries(look).map(async ([machine, script]) => {
    if (!lab.isOn(machine)) return []
    const { stdout } = await lab.inside(machine, script + files)
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => `${machine}: ${line}`)
  })
  return (await Promise.all(all)).flat()
}

/** Processes may take a moment to end. */
async function untilSame(before: readonly string[]): Promise<string[]> {
  let now = await traces()
  for (let turn = 0; turn < 30 && now.some((trace) => !before.includes(trace)); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    now = await traces()
  }
  return now
}

/** Asks a machine everything that the doctor wants to know of it, in one command. */
import type { HostProgram } from '../../activation/host-program.ts'
import {
  cannotBecomeRoot,
  type HostState,
  parseHostState,
  readFacts,
  wholeNumber,
} from '../../activation/host-state.ts'
import type { Clock } from '../../clock.ts'
import { type Elevation, elevate } from '../../machine/command.ts'
import type { Machine } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import { examinationInput } from './examination-script.ts'

/** Bytes, and what can't be told is undefined. */
export interface MachineFacts {
  readonly user: string
  /** what a shell printed by itself */
  readonly startUpOutput: string
  /** of nix, nix-daemon, git and tar those that are there */
  readonly tools: ReadonlySet<string>
  /** `2.26.3`; empty when Nix doesn't say */
  readonly nixVersion: string
  /** the store answers the user who logs in */
  readonly storeAnswers: boolean
  /** of nix.conf, by name: as Nix shows them */
  readonly settings: ReadonlyMap<string, string>
  /** lines of the file that `builders` names */
  readonly machineFile: readonly string[]
  readonly freeInStore: number | undefined
  readonly freeInodes: number | undefined
  /** where sources are kept */
  readonly freeForSources: number | undefined
  /** the directory that keeps the user from having sources there */
  readonly unwritable: string | undefined
  readonly substituters: readonly { readonly url: string; readonly answers: boolean }[]
  /** its clock is ahead of this machine's by so many seconds, somewhere between the two */
  readonly clockAhead: { readonly least: number; readonly most: number }
}

export interface HostFacts extends MachineFacts {
  readonly state: HostState
  /** what the way to become root printed */
  readonly elevationOutput: string
  /** of the kernel and initrd that it runs */
  readonly bootNeeds: number | undefined
  /** `seconds` since it failed */
  readonly failedUnits: readonly { readonly unit: string; readonly seconds: number }[]
}

interface Asking {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Ask the substituters, too. */
  readonly substituters: boolean
}

export async function examineMachine(machine: Machine, asking: Asking): Promise<MachineFacts> {
  return (await ask(machine, { ...asking, input: examinationInput(undefined), argv: [] })).facts
}

/** Rejects with a Problem when sudo wants a password and got none, or a wrong one. */
export async function examineHost(
  machine: Machine,
  program: HostProgram,
  asking: Asking & { elevation: Elevation },
): Promise<HostFacts> {
  const hostProgram = ['/bin/sh', '-s', '--', 'doctor']
  // A password is read from standard input, where it has to be the first: the whole question is asked as root.
  const asRoot = asking.elevation === 'ask'
  const argv = asRoot ? hostProgram : elevate({ argv: hostProgram, asRoot: true }, asking.elevation)
  const { facts, answer, stderr } = await ask(machine, { ...asking, input: examinationInput(program), argv, asRoot })
  return {
    ...facts,
    state: parseHostState(answer),
    elevationOutput: stderr.trim(),
    ...hostFacts(readFacts(answer)),
  }
}

const timeoutMs = 120_000

async function ask(machine: Machine, asked: Asking & { input: string; argv: readonly string[]; asRoot?: boolean }) {
  const { clock, signal, input, asRoot = false } = asked
  const began = clock.now().getTime()
  let heard: number | undefined
  const argv = ['/bin/sh', '-s', '--', asked.substituters ? 'yes' : 'no', ...asked.argv]
  const { code, stdout, stderr } = await machine.run(
    { argv, asRoot },
    {
      input,
      timeoutMs,
      signal,
      onLine(line) {
        if (/^time \d+$/.test(line)) heard ??= clock.now().getTime()
      },
    },
  )
  const [startUpOutput = '', answer] = stdout.split(/^begin\n/m)
  if (asRoot && answer === undefined && code !== null) throw cannotBecomeRoot(machine.user, stderr.trim())
  if (answer === undefined || !/^end\n$/m.test(answer)) {
    throw new Problem(`${machine.name} did not answer to the end (exit code ${code ?? 'unknown'})`, {
      detail: `${stdout}${stderr}`.trim(),
      hints: [`does \`ssh ${machine.destination} true\` work? The login shell must be one that runs commands`],
    })
  }
  return { answer, stderr, facts: machineFacts(readFacts(answer), { startUpOutput, began, heard: heard ?? began }) }
}

function machineFacts(
  facts: ReadonlyMap<string, string[]>,
  about: { startUpOutput: string; began: number; heard: number },
): MachineFacts {
  const fact = (key: string) => facts.get(key)?.[0] ?? ''
  const theirs = Number(fact('time'))
  return {
    user: fact('user'),
    startUpOutput: about.startUpOutput.trim(),
    tools: new Set(facts.get('tool')),
    nixVersion: /\d+\.\d[\w.-]*/.exec(fact('nix-version').replace(/^.*\)/, ''))?.[0] ?? '',
    storeAnswers: fact('store') === 'yes',
    settings: settingsOf(facts.get('setting') ?? []),
    machineFile: facts.get('machine-file') ?? [],
    freeInStore: wholeNumber(fact('free-store')),
    freeInodes: wholeNumber(fact('free-inodes')),
    freeForSources: wholeNumber(fact('free-sources')),
    unwritable: fact('unwritable') || undefined,
    substituters: (facts.get('substituter') ?? []).map((line) => {
      const [answers, url = ''] = line.split(' ')
      return { url, answers: answers === 'yes' }
    }),
    // It tells whole seconds, and told them between our question and its answer.
    clockAhead: { least: theirs - about.heard / 1000, most: theirs + 1 - about.began / 1000 },
  }
}

/** A line that begins with no name goes on with the value before. */
function settingsOf(lines: readonly string[]): Map<string, string> {
  const settings = new Map<string, string>()
  let name = ''
  for (const line of lines) {
    const [, own, value] = /^([a-z0-9-]+) = ?(.*)$/.exec(line) ?? []
    if (own !== undefined) name = own
    settings.set(name, own === undefined ? `${settings.get(name) ?? ''}\n${line}` : (value ?? ''))
  }
  return settings
}

function hostFacts(facts: ReadonlyMap<string, string[]>): Pick<HostFacts, 'bootNeeds' | 'failedUnits'> {
  return {
    bootNeeds: wholeNumber(facts.get('boot-needs')?.[0]) || undefined,
    failedUnits: (facts.get('failed-unit') ?? []).map((line) => {
      const [unit = '', seconds] = line.split(' ')
      return { unit, seconds: Number(seconds) }
    }),
  }
}

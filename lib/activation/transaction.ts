/** The control machine's side of the transaction: it asks, it follows, it confirms or calls off. The host owns the state. */
import { quotePosix } from '../machine/command.ts'
import type { Finished, Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { beginInput, type HostProgram, verbCommand } from './host-program.ts'
import { readFacts, whyNot, wholeNumber } from './host-state.ts'

export interface TransactionRequest {
  /** unique; letters, digits and dashes */
  readonly id: string
  /** known to the control machine that began, and to root on the host */
  readonly nonce: string
  readonly mode: 'switch' | 'boot' | 'test'
  /** what is activated: the toplevel, or a specialisation of it */
  readonly system: string
  /** what the profile and the boot loader get */
  readonly toplevel: string
  /** refused when the host runs something else by now */
  readonly expectedRunning: string
  /** of the host's boot during which this is sent */
  readonly bootId: string
  readonly switchTimeoutMs: number
  readonly confirmWithinMs: number
  /** what only a boot brings (a kernel, say): a guarded reboot, or what a live switch brings of it */
  readonly reboot: 'never' | 'when-needed'
  /** from the reboot until the host is back and has finished its boot */
  readonly rebootWithinMs: number
  /** who deploys, from where: told to whoever finds the host locked */
  readonly holder: string
  readonly since: Date
  /** further fields of the line in the host's history */
  readonly record: Readonly<Record<string, string>>
}

export const transactionEnds = [
  'deployed',
  'staged',
  'tested',
  'rolled-back',
  'untouched',
  'left-alone',
  'needs-hands',
  'rebooting',
  /** A `deploy clean` that was called off, or carried out. */
  'cleaned',
  'unknown',
] as const
export type TransactionEnd = (typeof transactionEnds)[number]

/** Read back on the host after the act. */
export interface TransactionResult {
  readonly end: TransactionEnd
  readonly reason: string
  readonly running: string
  readonly profile: string
  readonly generation: number | undefined
  readonly boot: string
  /** what could be tried: it needs a reboot, or more time */
  readonly advice: 'reboot' | 'time' | ''
  /** units that are worse than before although the host went back; empty when there are none */
  readonly stillWrong: string
  /** only with `unknown`: whether the host restarted meanwhile */
  readonly bootId: string
  /** which of kernel, initrd, kernel-modules the new system has and the booted one has not */
  readonly notBootedYet: readonly string[]
}

export type RefusalWord = 'locked' | 'changed' | 'missing' | 'inhibited' | 'lasting' | 'failed' | 'nonce'

export type Followed =
  | { readonly kind: 'awaiting'; readonly remainingMs: number }
  | { readonly kind: 'refused'; readonly word: RefusalWord; readonly reason: string }
  | { readonly kind: 'ended'; readonly result: TransactionResult }

export interface TransactionListener {
  /**
   * The host's word for what it does now: activating, awaiting, confirming, rolling-back; with a reboot: staging,
   * rebooting (and why), awaiting, confirming, rolling-back, returning (by another reboot).
   */
  state(word: string, reason: string): void
  /** A line that the switch printed. */
  log(line: string): void
}

/** The login to use, and the program that it runs. */
export interface TransactionTools {
  readonly machine: Machine
  readonly program: HostProgram
}

/** Begins a transaction and follows it until it waits for a confirmation or is over. Rejects when contact is lost. */
export async function begin(
  tools: TransactionTools,
  request: TransactionRequest,
  listener: TransactionListener,
): Promise<Followed> {
  const record = Object.entries({ id: request.id, started: request.since.toISOString(), ...request.record })
  const input = beginInput(tools.program, request.id, {
    nonce: request.nonce,
    mode: request.mode,
    new: request.system,
    toplevel: request.toplevel,
    expected_running: request.expectedRunning,
    switch_seconds: Math.ceil(request.switchTimeoutMs / 1000),
    confirm_seconds: Math.ceil(request.confirmWithinMs / 1000),
    reboot: request.reboot,
    reboot_seconds: Math.ceil(request.rebootWithinMs / 1000),
    holder_name: request.holder,
    since: request.since.toISOString(),
    record: record.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(','),
  })
  const command = { argv: ['/bin/sh', '-s'], asRoot: true }
  return followed(tools.machine, await runListening(tools.machine, command, { input, listener }))
}

/** Follows a transaction that was begun, after contact was lost. */
export async function follow(
  tools: TransactionTools,
  { id, bootId }: { id: string; bootId: string },
  listener: TransactionListener,
): Promise<Followed> {
  const command = verbCommand('follow', id, String(listenedLines.get(listener) ?? 0), bootId)
  return followed(tools.machine, await runListening(tools.machine, command, { input: tools.program, listener }))
}

/** Confirms, and waits until the host has made the new system permanent (or says why not). May be repeated. */
export async function confirm(
  tools: TransactionTools,
  { id, nonce }: { id: string; nonce: string },
): Promise<Followed> {
  // Not among the arguments, which others on the host can see.
  const input = `given_nonce=${quotePosix(nonce)}\n${tools.program}`
  const finished = await tools.machine.run(verbCommand('confirm', id), { input })
  return followed(tools.machine, finished)
}

/** Calls a transaction off, and waits until the host is back on the system that ran before. May be repeated. */
export async function callOff(
  tools: TransactionTools,
  { id, reason, bootId }: { id: string; reason: string; bootId: string },
  signal?: AbortSignal,
): Promise<Followed> {
  const options = { input: tools.program, ...(signal && { signal }) }
  const finished = await tools.machine.run(verbCommand('abort', id, reason, bootId), options)
  return followed(tools.machine, finished)
}

/**
 * Finishes a transaction whose processes on the host are gone (HeldLock.alive is false). Resolves with nothing when
 * somebody else is at it.
 */
export async function recover(
  tools: TransactionTools,
  id: string,
  signal?: AbortSignal,
): Promise<TransactionResult | undefined> {
  const options = { input: tools.program, ...(signal && { signal }) }
  const finished = await tools.machine.run(verbCommand('recover', id), options)
  const end = finished.code === 0 && finished.stdout === '' ? undefined : await followed(tools.machine, finished)
  return end?.kind === 'ended' ? end.result : undefined
}

/** How many log lines a listener has heard, so that following again after a lost connection tells none twice. */
const listenedLines = new WeakMap<TransactionListener, number>()

export function runListening(
  machine: Machine,
  command: { argv: readonly string[]; asRoot?: boolean },
  { input, listener, signal }: { input: string; listener: TransactionListener; signal?: AbortSignal },
): Promise<Finished> {
  return machine.run(command, {
    input,
    ...(signal && { signal }),
    onLine(line) {
      const [, word, rest = ''] = /^(\S+) ?(.*)$/.exec(line) ?? []
      if (word === 'log') {
        listenedLines.set(listener, (listenedLines.get(listener) ?? 0) + 1)
        listener.log(rest)
      } else if (word === 'state') {
        const [, state = '', reason = ''] = /^(\S+) ?(.*)$/.exec(rest) ?? []
        listener.state(state, reason)
      }
    },
  })
}

export async function followed(machine: Machine, finished: Finished): Promise<Followed> {
  const facts = readFacts(finished.stdout.replaceAll(/^log .*\n/gm, ''))
  const refused = facts.get('refused')?.[0]
  if (refused !== undefined) {
    const [, word, reason = ''] = /^(\S+) ?(.*)$/.exec(refused) ?? []
    return { kind: 'refused', word: word as RefusalWord, reason }
  }
  const fact = (key: string) => facts.get(key)?.[0] ?? ''
  if (facts.has('result')) {
    return {
      kind: 'ended',
      result: {
        end: transactionEnds.find((end) => end === fact('result')) ?? 'unknown',
        reason: fact('reason'),
        running: fact('running'),
        profile: fact('profile'),
        generation: wholeNumber(fact('generation')),
        boot: fact('boot'),
        bootId: fact('boot-id'),
        advice: fact('advice') as TransactionResult['advice'],
        stillWrong: fact('still-wrong'),
        notBootedYet: facts.get('not-booted-yet') ?? [],
      },
    }
  }
  const remaining = wholeNumber(facts.get('remaining')?.[0])
  if (remaining !== undefined) return { kind: 'awaiting', remainingMs: remaining * 10 }
  if (finished.code === 73)
    throw new Problem('/run/deploy on the host could not be written', { detail: finished.stderr.trim() })
  throw await whyNot(machine, finished)
}

/** Old generations: which of them go, and how. Then the garbage that they leave. */
import { clean, type Survey, survey, wouldFree } from '../activation/cleaning.ts'
import type { Generation, HostState } from '../activation/host-state.ts'
import type { TransactionResult } from '../activation/transaction.ts'
import type { GenerationPolicy, Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import { formatBytes } from '../format.ts'
import type { OutcomeKind } from './outcome.ts'
import { kindOfEnd } from './outcomes.ts'
import { preflight } from './preflight.ts'
import { asProblem } from './realise.ts'
import { previousGeneration } from './previous-generation.ts'
import { openSession, type Session } from './session.ts'
import type { Seen } from './status.ts'
import { type Tools, timeStamp } from './tools.ts'

/** What `deploy clean` keeps where hosts.yaml doesn't say. */
export const defaultPolicy: GenerationPolicy = { keep: 5, olderThanMs: 30 * 86_400_000 }

/**
 * A generation is kept when it is among the newest or young enough. Whatever the policy: what runs, was booted, is in
 * the profile or boots next stays, and so does what is rooted elsewhere, and what `deploy rollback` would go to.
 */
export function generationsToDelete({ state, rooted }: Survey, policy: GenerationPolicy, now: number): Generation[] {
  const inUse = new Set([state.running, state.booted, state.profile, state.boot, ...rooted])
  const previous = previousSystem(state)
  if (previous !== undefined) inUse.add(previous)
  const newest = [...state.generations].sort((a, b) => b.number - a.number).slice(0, policy.keep)
  const kept = state.generations.filter(
    (one) =>
      newest.includes(one) ||
      now - one.time < policy.olderThanMs ||
      one.number === state.generation ||
      inUse.has(one.system),
  )
  // The first generation of a system says where it stands in the order in which `deploy rollback` goes back.
  const first = (system: string) => state.generations.find((one) => one.system === system)
  const firsts = new Set(kept.map(({ system }) => first(system)))
  return state.generations.filter((one) => !kept.includes(one) && !firsts.has(one))
}

function previousSystem(state: HostState): string | undefined {
  try {
    return previousGeneration(state).system
  } catch {
    return undefined
  }
}

export interface Cleaning {
  readonly kind: 'cleaned' | 'would clean'
  readonly deleted: readonly Generation[]
  /** how many generations are left */
  readonly left: number
  /** measured after the act; an estimate before it, undefined where that can't be told */
  readonly bytes: number | undefined
  /** the same of the boot loader's copies of kernels and initrds; only before it */
  readonly bootBytes: number | undefined
  /** how it ended on the host */
  readonly result: TransactionResult | undefined
}

export interface CleanOptions {
  readonly policy: GenerationPolicy
  readonly dryRun: boolean
}

export async function cleanHost(host: Host, options: CleanOptions, tools: Tools): Promise<Seen<Cleaning>> {
  const session = openSession(host, tools.network)
  try {
    await preflight(host, options.dryRun ? 'dry-activate' : 'boot', session, tools)
    return { host: host.name, seen: await cleanOver({ host, session, tools }, options) }
  } catch (error) {
    return { host: host.name, seen: asProblem(error, host, 'preflight') }
  } finally {
    await session.close()
  }
}

/** What it counts as for the exit code, when it is no success. */
export const cleanedAs = ({ result }: Cleaning): OutcomeKind | undefined =>
  result && (result.end !== 'cleaned' || result.reason)
    ? result.end === 'cleaned'
      ? 'untouched'
      : kindOfEnd[result.end]
    : undefined

interface Place {
  readonly host: Host
  readonly session: Session
  readonly tools: Tools
}

async function cleanOver({ host, session, tools }: Place, { policy, dryRun }: CleanOptions): Promise<Cleaning> {
  const machine = await session.machine(tools.signal)
  const { program, signal, clock } = tools
  const found = await survey(machine, program, signal)
  const { state } = found
  const deleted = generationsToDelete(found, policy, clock.now().getTime())
  const numbers = deleted.map(({ number }) => number)
  const all = state.generations.length
  if (dryRun) {
    const freed = await wouldFree(machine, program, { numbers, signal })
    return { kind: 'would clean', deleted, left: all - deleted.length, ...freed, result: undefined }
  }
  const request = {
    id: `${timeStamp(clock.now())}-${tools.randomHex(3)}`,
    numbers,
    expected: state,
    switchTimeoutMs: host.activation.timeoutMs,
    holder: tools.who,
    since: clock.now(),
  }
  const listener = {
    state: () => tools.report({ kind: 'progress', host: host.name, stage: 'record', text: 'cleaning' }),
    log: (line: string) => tools.report({ kind: 'log', host: host.name, stage: 'record', line }),
  }
  const cleaned = await clean({ machine, program }, request, listener, signal)
  if (cleaned.kind === 'refused') {
    throw cleaned.word === 'locked'
      ? new Problem(`${cleaned.reason} is deploying this host`, { kind: 'locked' })
      : new Problem(cleaned.reason, { hints: ['nothing was deleted: try once more'] })
  }
  const gone = deleted.filter(({ number }) => cleaned.deleted.includes(number))
  const result = cleaned.kind === 'ended' ? cleaned.result : undefined
  return {
    kind: 'cleaned',
    deleted: gone,
    left: all - gone.length,
    bytes: cleaned.freedBytes,
    bootBytes: undefined,
    result,
  }
}

/** After a confirmed deployment, where hosts.yaml asks for it. What goes wrong is a warning: the deployment stands. */
export async function cleanAfterwards(place: Place): Promise<void> {
  const { host, session, tools } = place
  const policy = host.generations
  if (!policy || tools.signal.aborted) return
  tools.report({ kind: 'stage', host: host.name, stage: 'record' })
  try {
    const found = await survey(await session.machine(tools.signal), tools.program, tools.signal)
    if (generationsToDelete(found, policy, tools.clock.now().getTime()).length === 0) return
    const { deleted, bytes = 0, result } = await cleanOver(place, { policy, dryRun: false })
    if (result?.reason) throw new Problem(result.reason)
    const text = `${generationsText(deleted.length)} deleted, ${formatBytes(bytes)} freed`
    tools.report({ kind: 'note', host: host.name, stage: 'record', text })
  } catch (error) {
    const text = `old generations could not be deleted: ${asProblem(error, host, 'record').message}`
    tools.report({ kind: 'warning', host: host.name, text })
  }
}

export const generationsText = (count: number): string => (count === 1 ? '1 generation' : `${count} generations`)

/** In words, for who has no room: what `deploy clean` would free there. */
export async function whatCleaningFrees(place: Place, where: 'store' | 'boot'): Promise<string> {
  const { host } = place
  const command = `\`deploy clean ${host.name}`
  try {
    const policy = host.generations ?? defaultPolicy
    const { deleted, bytes, bootBytes } = await cleanOver(place, { policy, dryRun: true })
    const freed = where === 'store' ? bytes : bootBytes
    const amount = freed === undefined ? 'an unknown amount' : `about ${formatBytes(freed)}`
    const more = deleted.length > 0 ? '' : `; ${command} --keep 1 --older-than 0s\` keeps only what is needed`
    return `${command}\` would free ${amount} (${generationsText(deleted.length)})${more}`
  } catch {
    return `${command}\` frees what old generations hold`
  }
}

/** Evaluates configurations on a machine with a shell, git and Nix. */

import type { InputSource } from '../inventory/inventory.ts'
import { closest } from '../inventory/suggestion.ts'
import type { Machine } from '../machine/machine.ts'
import { parseToplevels, toplevelsOf } from '../nix/toplevels.ts'
import { Problem, partsOf } from '../problem.ts'
import type { BuilderEvents, Evaluated, EvaluationOptions, EvaluationResult } from './builder.ts'
import { type Answer, Conversation, MirrorBroken } from './conversation.ts'
import { fetchHints, fetchInput } from './fetched-input.ts'
import { groupsFor, memoryFor } from './memory.ts'
import { findSources, lockName, revisionOf, type Source, sourceArguments, sourceWarnings } from './shipment.ts'
import { upload } from './upload.ts'

export interface Places {
  readonly here: Machine
  /** The builder: it is being logged in to while the sources are looked at here. */
  there(): Promise<Machine>
  /** Called when nothing speaks against the evaluation any more: the builder can be asked for more beside it. */
  onBegin?(): void
  readonly flake: string
  readonly inputs: ReadonlyMap<string, InputSource>
  /** Where the whole log of a failed build is, for a person. */
  whereLogIs(derivation: string): string
}

export interface EvaluationRequest {
  readonly configurations: readonly string[]
  readonly options: EvaluationOptions
  readonly events: BuilderEvents
  readonly signal: AbortSignal
}

/** Rejects with a Problem when nothing could be evaluated at all; a broken configuration is a value. */
export async function evaluateOn(places: Places, request: EvaluationRequest): Promise<EvaluationResult> {
  try {
    return await attempt(places, request)
  } catch (error) {
    if (!(error instanceof MirrorBroken)) throw error
  }
  return await attempt(places, request).catch(async (error: unknown) => {
    if (!(error instanceof MirrorBroken)) throw error
    const { name } = await places.there()
    throw new Problem(`${name} does not keep what git sends`, {
      stage: 'evaluate',
      hints: ['look at the disk with ~/.cache/deploy there'],
    })
  })
}

async function attempt(places: Places, request: EvaluationRequest): Promise<EvaluationResult> {
  const { events, signal } = request
  const [finding, connecting] = await Promise.allSettled([allSources(places, request), places.there()])
  const sources = finding.status === 'fulfilled' ? finding.value : []
  const snapshots = sources.flatMap(({ from }) => (from.kind === 'git' ? [from] : []))
  try {
    if (connecting.status === 'rejected') throw connecting.reason
    if (finding.status === 'rejected') throw finding.reason
    const [flake] = sources
    if (!flake) throw new Problem('there is no flake to evaluate', { stage: 'evaluate' })
    const there = connecting.value
    places.onBegin?.()
    for (const warning of sources.flatMap(sourceWarnings)) events.warning(warning)
    events.progress(`sending the flake to ${there.name}`)
    const [atOnce = []] = groupsFor(request.configurations)
    const shipped = await Promise.all(sources.map((source) => ship({ here: places.here, there }, source, signal)))
    const conversation = await Conversation.begin(
      there,
      {
        lock: lockName(flake),
        sources: shipped,
        snapshots,
        firstQuestion: toplevelsOf(atOnce),
        neededBytes: atOnce.length > 1 ? memoryFor(atOnce.length) : 0,
        nixArguments: nixArguments(request.options),
      },
      { events, signal },
    )
    try {
      events.progress('evaluating')
      const configurations = await withHints(await answers(conversation, request, places), { sources, places, signal })
      const remote = flake.from.kind === 'reference'
      return { configurations, revision: remote ? await askedRevision(conversation) : revisionOf(flake) }
    } finally {
      conversation.end()
    }
  } finally {
    for (const snapshot of snapshots) snapshot.close()
  }
}

/** The flake comes first. */
async function allSources(places: Places, { options, events, signal }: EvaluationRequest): Promise<Source[]> {
  const { here } = places
  // A later override of the same input replaces an earlier one, as with `nix`.
  const inputs = new Map<string, InputSource>([...places.inputs, ...options.overrideInputs])
  const found = await findSources(here, { reference: places.flake }, signal)
  const [flake] = found
  for (const [input, source] of inputs) {
    if (typeof source === 'string') found.push(...(await findSources(here, { input, reference: source }, signal)))
    else if (flake) {
      events.progress(`fetching ${input} on this machine`)
      found.push(await fetchInput(here, flake, input, signal))
    }
  }
  return found
}

/** What could not be fetched is told with what to try. */
async function withHints(
  results: Map<string, Evaluated | Problem>,
  { sources, places, signal }: { sources: readonly Source[]; places: Places; signal: AbortSignal },
): Promise<Map<string, Evaluated | Problem>> {
  const [flake] = sources
  const fetched = sources.flatMap(({ input, apart }) => (apart?.kind === 'fetched' && input ? [input] : []))
  for (const [name, problem] of results) {
    if (!(problem instanceof Problem) || !flake) continue
    const hints = await fetchHints(places.here, { flake, fetched, errors: problem.detail }, signal)
    if (hints.length > 0)
      results.set(name, new Problem(problem.message, { ...partsOf(problem), hints: [...problem.hints, ...hints] }))
  }
  return results
}

async function ship(
  { here, there }: { here: Machine; there: Machine },
  source: Source,
  signal: AbortSignal,
): Promise<string[]> {
  if (source.from.kind !== 'path') return sourceArguments(source)
  return sourceArguments(source, await upload(here, there, { directory: source.from.directory, signal }))
}

/** Inputs are overridden by the sources, not here. */
export const nixArguments = ({ impure, showTrace, refresh, options }: EvaluationOptions): string[] => [
  ...(impure ? ['--impure'] : []),
  ...(showTrace ? ['--show-trace'] : []),
  ...(refresh ? ['--refresh'] : []),
  ...options.flatMap(([name, value]) => ['--option', name, value]),
]

/** All in one evaluation; in several where they are very many, or the builder lacks the memory for that. */
async function answers(
  conversation: Conversation,
  request: EvaluationRequest,
  { whereLogIs }: Places,
): Promise<Map<string, Evaluated | Problem>> {
  const { configurations, events } = request
  const read: Read = (name, answer) => evaluated(name, answer, whereLogIs)
  const together = await conversation.answer()
  const hasMemory = together.availableBytes === undefined
  const results = new Map<string, Evaluated | Problem>()
  for (const [index, group] of groupsFor(configurations, together.availableBytes).entries()) {
    if (!hasMemory) {
      events.progress(`evaluating ${group.join(', ')}: no memory for all ${configurations.length} at once`)
    }
    const answer = hasMemory && index === 0 ? together : await conversation.ask(toplevelsOf(group))
    for (const [name, result] of await answersFor(group, answer, conversation, { events, read }))
      results.set(name, result)
  }
  return results
}

type Read = (name: string, answer: Answer) => Evaluated | Problem
type Named = [name: string, Evaluated | Problem]

/** From the answer for all of them, or, when that was none, by asking until each that is broken stands alone. */
async function answersFor(
  configurations: readonly string[],
  together: Answer,
  conversation: Conversation,
  { events, read }: { events: BuilderEvents; read: Read },
): Promise<Map<string, Evaluated | Problem>> {
  if (together.json !== '') return new Map(configurations.map((name) => [name, read(name, together)]))
  const [first] = configurations
  if (configurations.length === 1 && first !== undefined) return new Map([[first, read(first, together)]])
  // Is it the flake as a whole? Then nothing is gained by asking for each.
  const whole = await conversation.ask(toplevelsOf([]))
  if (whole.json === '') return new Map(configurations.map((name) => [name, read(name, whole)]))
  const ask = (group: readonly string[]) => {
    events.progress(`evaluating ${group.join(', ')}`)
    return conversation.ask(toplevelsOf(group))
  }
  return new Map(await inHalves(configurations, ask, read))
}

/** Of several that can't be evaluated together: few questions when few of very many are broken. */
async function inHalves(
  configurations: readonly string[],
  ask: (group: readonly string[]) => Promise<Answer>,
  read: Read,
): Promise<Named[]> {
  const middle = Math.ceil(configurations.length / 2)
  const results: Named[] = []
  const failed: (readonly string[])[] = []
  for (const half of [configurations.slice(0, middle), configurations.slice(middle)]) {
    const answer = await ask(half)
    if (answer.json !== '' || half.length === 1) results.push(...half.map((name): Named => [name, read(name, answer)]))
    else failed.push(half)
  }
  // What is wrong with several is likely wrong with all of them.
  if (failed.length === 2) for (const name of configurations) results.push([name, read(name, await ask([name]))])
  else for (const half of failed) results.push(...(await inHalves(half, ask, read)))
  return results
}

function evaluated(
  name: string,
  { json, errors, builds }: Answer,
  whereLogIs: Places['whereLogIs'],
): Evaluated | Problem {
  if (json === '') {
    const hints = builds.map((derivation) => `built for the evaluation; ${whereLogIs(derivation)}`)
    return new Problem(`evaluation of ${name} failed`, { stage: 'evaluate', detail: errors, hints })
  }
  try {
    const { names, found } = parseToplevels(json)
    return found.get(name) ?? missing(name, names)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    return new Problem(`what ${name} evaluates to can't be read`, { stage: 'evaluate', detail, cause })
  }
}

function missing(name: string, names: readonly string[]): Problem {
  const meant = closest(name, names)
  return new Problem(`the flake has no nixosConfigurations.${name}`, {
    stage: 'evaluate',
    hints: [
      ...(meant === undefined ? [] : [`did you mean ${meant}?`]),
      names.length === 0 ? 'it has none at all' : `it has ${names.join(', ')}`,
    ],
  })
}

async function askedRevision(conversation: Conversation): Promise<string | undefined> {
  const { json } = await conversation.ask('metadata')
  if (json === '') return undefined
  const { revision, dirtyRevision } = JSON.parse(json) as { revision?: string; dirtyRevision?: string }
  return revision ?? dirtyRevision
}

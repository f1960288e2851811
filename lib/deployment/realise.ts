/** From hosts to their toplevels: one evaluation and one build for each builder. */
import type { Builder, BuilderEvents, Evaluated, EvaluationOptions } from '../builders/builder.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Missing } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { Problem, partsOf, type Stage } from '../problem.ts'
import type { Tools } from './tools.ts'

export interface Evaluation {
  readonly derivation: DerivationPath
  /** where that is known before it is built */
  readonly output: StorePath | undefined
  readonly revision: string
}

export interface Toplevel {
  readonly path: StorePath
  readonly revision: string
  /** who has it; nobody when the host itself has it (a rollback) */
  readonly builder: Builder | undefined
}

/** By host name: what came of it, or the problem that it has. */
export type Each<T> = Map<string, T | Problem>

/** Evaluates the toplevels of hosts, all of one builder at once. Never rejects: problems are values. */
export async function evaluateHosts(
  hosts: readonly Host[],
  options: EvaluationOptions,
  tools: Tools,
): Promise<Each<Evaluation>> {
  const results: Each<Evaluation> = new Map()
  const groups = await byBuilder(hosts, 'evaluate', tools, results)
  await Promise.all(
    [...groups].map(async ([builder, group]) => {
      try {
        const configurations = [...new Set(group.map((host) => host.configuration))]
        const events = eventsOf('evaluate', group, tools)
        const evaluated = await builder.evaluate(configurations, options, events, tools.signal)
        for (const host of group) {
          const result = evaluated.configurations.get(host.configuration)
          results.set(host.name, checked(host, result, evaluated.revision ?? ''))
        }
      } catch (error) {
        for (const host of group) results.set(host.name, ofBuilder([builder.name], asProblem(error, host, 'evaluate')))
      }
    }),
  )
  return results
}

function checked(host: Host, result: Evaluated | Problem | undefined, revision: string) {
  if (result instanceof Problem) return result.at({ host: host.name, stage: 'evaluate' })
  if (!result)
    return new Problem(`evaluation said nothing of ${host.configuration}`, { host: host.name, stage: 'evaluate' })
  if (result.system !== host.system) {
    return new Problem(
      `the configuration ${host.configuration} is for ${result.system}, but hosts.yaml says ${host.system}`,
      {
        host: host.name,
        stage: 'evaluate',
        hints: ['set nixpkgs.hostPlatform in the configuration, or `system:` in hosts.yaml'],
      },
    )
  }
  return { derivation: result.derivation, output: result.output, revision }
}

/** Builds what was evaluated, all of one builder at once. Never rejects. */
export const buildHosts = (
  hosts: readonly Host[],
  evaluations: Each<Evaluation>,
  tools: Tools,
): Promise<Each<Toplevel>> =>
  askBuilders(hosts, evaluations, tools, {
    ask: (builder, derivations, events) => builder.build(derivations, events, tools.signal),
    result: (path, { revision }, builder) => ({ path, revision, builder }),
  })

/** What that would build and fetch. Never rejects. */
export const missingOfHosts = (
  hosts: readonly Host[],
  evaluations: Each<Evaluation>,
  tools: Tools,
): Promise<Each<{ evaluation: Evaluation; missing: Missing }>> =>
  askBuilders(hosts, evaluations, tools, {
    ask: (builder, derivations, events) => builder.missing(derivations, events, tools.signal),
    result: (missing, evaluation) => ({ evaluation, missing }),
  })

interface Question<Answer, Result> {
  ask(
    builder: Builder,
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
  ): Promise<ReadonlyMap<DerivationPath, Answer | Problem>>
  result(answer: Answer, evaluation: Evaluation, builder: Builder): Result
}

/** Asks each builder once, about the derivations of all its hosts. */
async function askBuilders<Answer, Result>(
  hosts: readonly Host[],
  evaluations: Each<Evaluation>,
  tools: Tools,
  { ask, result }: Question<Answer, Result>,
): Promise<Each<Result>> {
  const results: Each<Result> = new Map()
  const wanted = new Map<string, Evaluation>()
  for (const { name } of hosts) {
    const evaluation = evaluations.get(name)
    if (evaluation instanceof Problem) results.set(name, evaluation)
    else if (evaluation) wanted.set(name, evaluation)
  }
  const building = hosts.filter((host) => wanted.has(host.name))
  const groups = await byBuilder(building, 'build', tools, results)
  await Promise.all(
    [...groups].map(async ([builder, group]) => {
      try {
        const evaluation = (host: Host) => wanted.get(host.name) as Evaluation
        const all = eventsOf('build', group, tools)
        const progress: BuilderEvents['progress'] = (text, wantedBy) =>
          all.progress(
            `${text}${forSome(group, wantedBy && group.filter((host) => wantedBy.includes(evaluation(host).derivation)))}`,
          )
        const events = { ...all, progress }
        const answers = await ask(builder, [...new Set(group.map((host) => evaluation(host).derivation))], events)
        for (const host of group) {
          const answer = answers.get(evaluation(host).derivation)
          const found: Answer | Problem = answer ?? new Problem('the builder said nothing of the build')
          const place = { host: host.name, stage: 'build' } as const
          results.set(host.name, found instanceof Problem ? found.at(place) : result(found, evaluation(host), builder))
        }
      } catch (error) {
        for (const host of group) results.set(host.name, ofBuilder([builder.name], asProblem(error, host, 'build')))
      }
    }),
  )
  return results
}

/** Whose build it is, where not everybody's: ` for dave, erin`. */
function forSome(all: readonly Host[], some: readonly Host[] | undefined): string {
  if (some === undefined || some.length === 0 || some.length === all.length) return ''
  const names = some.slice(0, 3).map(({ name }) => name)
  return ` for ${names.join(', ')}${some.length > 3 ? ` and ${some.length - 3} more` : ''}`
}

/** By the builder that is chosen for them, each of which is asked once. What is wrong where none can be is a result. */
async function byBuilder<Result>(
  hosts: readonly Host[],
  stage: Stage,
  tools: Tools,
  results: Each<Result>,
): Promise<Map<Builder, Host[]>> {
  const groups = new Map<Builder, Host[]>()
  await Promise.all(
    byNames(hosts).map(async ({ names, group }) => {
      try {
        const builder = await tools.builder(names, { events: eventsOf(stage, group, tools), signal: tools.signal })
        groups.set(builder, [...(groups.get(builder) ?? []), ...group])
      } catch (error) {
        for (const host of group) results.set(host.name, ofBuilder(names, asProblem(error, host, stage)))
      }
    }),
  )
  return groups
}

/** Those that any of the same builders may build for. */
function byNames(hosts: readonly Host[]): { names: readonly string[]; group: Host[] }[] {
  const groups = new Map<string, Host[]>()
  for (const host of hosts) {
    const key = host.builders.join('\n')
    groups.set(key, [...(groups.get(key) ?? []), host])
  }
  return [...groups.values()].map((group) => ({ names: group[0]?.builders ?? [], group }))
}

/** Events of one builder are told of its only host, or of all hosts at once. */
export function eventsOf(
  stage: Stage,
  hosts: readonly Pick<Host, 'name'>[],
  { report }: Pick<Tools, 'report'>,
): BuilderEvents {
  const host = hosts.length === 1 ? (hosts[0]?.name ?? '') : ''
  return {
    progress: (text) => report({ kind: 'progress', host, stage, text }),
    warning: (text) => report({ kind: 'warning', host, text }),
    note: (text) => report({ kind: 'note', host, stage, text }),
    log: (line) => report({ kind: 'log', host, stage, line }),
  }
}

/** A builder that can't be reached is no reason to call the host unreachable. */
const ofBuilder = (names: readonly string[], problem: Problem): Problem =>
  problem.kind === 'unreachable' || problem.kind === 'locked'
    ? new Problem(`builder ${names.join(' or ')}: ${problem.message}`, { ...partsOf(problem), kind: 'failed' })
    : problem

/** Anything thrown, as a Problem of that host and stage: what is none, and no system call's failure, is ours. */
export function asProblem(error: unknown, host: Pick<Host, 'name'>, stage: Stage): Problem {
  if (error instanceof Problem) return error.at({ host: host.name, stage })
  const message = error instanceof Error ? error.message : String(error)
  const place = { host: host.name, stage, cause: error }
  if (error instanceof Error && 'syscall' in error) return new Problem(message, place)
  return new Problem(`internal: ${message.split('\n')[0]}`, {
    ...place,
    kind: 'internal',
    detail: (error instanceof Error && error.stack) || '',
  })
}

/** Many hosts side by side: one evaluation and one build for all, and no host waits for another one's trouble. */
import PQueue from 'p-queue'
import type { HostState } from '../activation/host-state.ts'
import type { EvaluationOptions } from '../builders/builder.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import { deployHost, type InTurn } from './deploy-host.ts'
import { type Outcome, worstFirst } from './outcome.ts'
import { buildHosts, type Evaluation, evaluateHosts } from './realise.ts'
import { isDone } from './steps.ts'
import { refuseUnsupported } from './supported.ts'
import type { Limits, Mode, Tools } from './tools.ts'

export interface Rollout {
  readonly hosts: readonly Host[]
  readonly mode: Mode
  readonly evaluation: EvaluationOptions
  readonly limits: Limits
}

/** How long the build waits for hosts whose login is slow, before it builds for them as well. */
const preflightPatienceMs = 5_000

/** Worst outcome first. Rejects only for what hosts.yaml asks and can't be done, before anything is. */
export async function rollOut(rollout: Rollout, tools: Tools): Promise<Outcome[]> {
  const { hosts, mode } = rollout
  refuseUnsupported(hosts)
  const inTurn = turns(rollout.limits)
  const unfit = new Set<string>()
  const states = new Map<string, HostState>()
  const preflights = new Map(hosts.map((host) => [host.name, withResolvers()]))
  if (hosts.length > 1) tools.report({ kind: 'stage', host: '', stage: 'evaluate' })
  const evaluating = evaluateHosts(hosts, rollout.evaluation, tools)

  /** A host that runs already what the evaluation says will be built. */
  const isDoneAlready = (host: Host, evaluation: Evaluation | Problem | undefined) => {
    const state = states.get(host.name)
    if (!state || !evaluation || evaluation instanceof Problem || evaluation.output === undefined) return false
    return isDone(host, mode, evaluation.output, state)
  }

  /** Nobody needs what is still being built when all hosts have ended. */
  const over = new AbortController()

  /** Hosts that turned out to be unreachable or unfit, or to have nothing to do, are not built for. */
  const building = (async () => {
    const evaluations = await evaluating
    const settled = Promise.all([...preflights.values()].map(({ promise }) => promise))
    const patience = new AbortController()
    await Promise.race([settled, tools.clock.sleep(preflightPatienceMs, patience.signal).catch(() => {})])
    patience.abort()
    const fit = hosts.filter((host) => !unfit.has(host.name))
    const waiting = fit.filter((host) => !isDoneAlready(host, evaluations.get(host.name)))
    if (hosts.length > 1 && waiting.length > 0) tools.report({ kind: 'stage', host: '', stage: 'build' })
    const built = await buildHosts(waiting, evaluations, {
      ...tools,
      signal: AbortSignal.any([tools.signal, over.signal]),
    })
    tools.report({ kind: 'done', host: '' })
    return built
  })()

  const outcomes = await Promise.all(
    hosts.map((host) =>
      deployHost({
        host,
        mode,
        tools,
        inTurn,
        onPreflight(state) {
          if (state) states.set(host.name, state)
          else unfit.add(host.name)
          preflights.get(host.name)?.resolve()
        },
        toplevel: async () => {
          if (hosts.length === 1) tools.report({ kind: 'stage', host: host.name, stage: 'evaluate' })
          const evaluation = (await evaluating).get(host.name)
          if (evaluation instanceof Problem) return evaluation
          if (evaluation?.output && isDoneAlready(host, evaluation))
            return { path: evaluation.output, revision: evaluation.revision, builder: undefined }
          if (hosts.length === 1) tools.report({ kind: 'stage', host: host.name, stage: 'build' })
          return (await building).get(host.name) ?? new Problem('the build left this host out')
        },
      }),
    ),
  )
  over.abort()
  return outcomes.sort(worstFirst)
}

/** A queue for each stage that has a limit. */
export function turns(limits: Limits): InTurn {
  const queues = {
    preflight: new PQueue({ concurrency: limits.preflight }),
    copy: new PQueue({ concurrency: limits.copy }),
    activate: new PQueue({ concurrency: limits.activate }),
  }
  return (stage, work) => queues[stage].add(work)
}

/** Promise.withResolvers, which Node 20 doesn't have. */
function withResolvers(): { promise: Promise<void>; resolve(): void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** `deploy build` and `deploy plan`: evaluation and builds alone. No host is touched. */
import type { EvaluationOptions } from '../builders/builder.ts'
import type { HostState } from '../activation/host-state.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import { asProblem, buildHosts, type Each, type Evaluation, evaluateHosts, eventsOf, type Toplevel } from './realise.ts'
import { statusOf } from './status.ts'
import { refuseUnsupported } from './supported.ts'
import type { Tools } from './tools.ts'

/** Evaluates and builds the toplevels, by host. */
export async function buildToplevels(
  hosts: readonly Host[],
  evaluation: EvaluationOptions,
  tools: Tools,
): Promise<Each<Toplevel>> {
  refuseUnsupported(hosts, tools)
  const host = hosts.length === 1 ? (hosts[0]?.name ?? '') : ''
  tools.report({ kind: 'stage', host, stage: 'evaluate' })
  const evaluations = await evaluateHosts(hosts, evaluation, tools)
  tools.report({ kind: 'stage', host, stage: 'build' })
  return buildHosts(hosts, evaluations, tools)
}

export interface Plan {
  readonly host: string
  readonly derivation: string
  readonly revision: string
  /** derivations that the builder would build, paths that it would fetch */
  readonly toBuild: readonly string[]
  readonly toFetch: readonly string[]
  readonly downloadBytes: number
  /** what the host runs now; a Problem when it can't be asked */
  readonly state: HostState | Problem
}

/** What a deployment would do, without building or changing anything. */
export async function planHosts(
  hosts: readonly Host[],
  evaluation: EvaluationOptions,
  tools: Tools,
): Promise<Each<Plan>> {
  refuseUnsupported(hosts, tools)
  const [evaluations, states] = await Promise.all([
    evaluateHosts(hosts, evaluation, tools),
    Promise.all(hosts.map((host) => statusOf(host, tools))),
  ])
  const plans: Each<Plan> = new Map()
  await Promise.all(
    hosts.map(async (host, index) => {
      const evaluated = evaluations.get(host.name)
      if (!evaluated || evaluated instanceof Problem) {
        plans.set(host.name, evaluated ?? new Problem('evaluation left this host out', { host: host.name }))
        return
      }
      const state = states[index]?.seen ?? new Problem('the host was not asked', { host: host.name })
      plans.set(
        host.name,
        await planOf(host, evaluated, state, tools).catch((error: unknown) => asProblem(error, host, 'build')),
      )
    }),
  )
  return plans
}

async function planOf(host: Host, evaluated: Evaluation, state: HostState | Problem, tools: Tools): Promise<Plan> {
  const builder = tools.builder(host.builder)
  const missing = await builder.missing([evaluated.derivation], eventsOf('build', [host], tools), tools.signal)
  return {
    host: host.name,
    derivation: evaluated.derivation,
    revision: evaluated.revision,
    toBuild: missing.willBuild,
    toFetch: missing.willSubstitute,
    downloadBytes: missing.downloadSize,
    state,
  }
}

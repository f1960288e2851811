/** `deploy build` and `deploy plan`: evaluation and builds alone. No host is touched. */

import type { HostState } from '../activation/host-state.ts'
import type { EvaluationOptions } from '../builders/builder.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Missing } from '../nix/store.ts'
import { Problem } from '../problem.ts'
import { buildHosts, type Each, type Evaluation, evaluateHosts, missingOfHosts, type Toplevel } from './realise.ts'
import { stateOf } from './status.ts'
import { refuseUnsupported } from './supported.ts'
import type { Tools } from './tools.ts'

/** Evaluates and builds the toplevels, by host. */
export async function buildToplevels(
  hosts: readonly Host[],
  evaluation: EvaluationOptions,
  tools: Tools,
): Promise<Each<Toplevel>> {
  refuseUnsupported(hosts)
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
  refuseUnsupported(hosts)
  const [evaluations, states] = await Promise.all([
    evaluateHosts(hosts, evaluation, tools),
    Promise.all(hosts.map((host) => stateOf(host, tools))),
  ])
  const missing = await missingOfHosts(hosts, evaluations, tools)
  const plans: Each<Plan> = new Map()
  for (const [index, host] of hosts.entries()) {
    const found = missing.get(host.name) ?? new Problem('evaluation left this host out', { host: host.name })
    const state = states[index]?.seen ?? new Problem('the host was not asked', { host: host.name })
    plans.set(host.name, found instanceof Problem ? found : planOf(host, found, state))
  }
  return plans
}

const planOf = (
  host: Host,
  { evaluation, missing }: { evaluation: Evaluation; missing: Missing },
  state: HostState | Problem,
): Plan => ({
  host: host.name,
  derivation: evaluation.derivation,
  revision: evaluation.revision,
  toBuild: missing.willBuild,
  toFetch: missing.willSubstitute,
  downloadBytes: missing.downloadSize,
  state,
})

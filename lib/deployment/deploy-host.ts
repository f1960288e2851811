/** The story of one host. */
import { type HostState, probe } from '../activation/host-state.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem, type Stage } from '../problem.ts'
import { cleanAfterwards } from './clean.ts'
import { copyClosure, resolveSpecialisation } from './copy-closure.ts'
import { dryActivate } from './dry-activate.ts'
import { warnOfKeys } from './keys/broken.ts'
import type { Outcome } from './outcome.ts'
import { bootWarning, endingOf, endingOfProblem, type Gathered, nothingYet, outcomeOf } from './outcomes.ts'
import { preflight } from './preflight.ts'
import { asProblem, type Toplevel } from './realise.ts'
import { openSession, type Session } from './session.ts'
import { isDone, stepsTo } from './steps.ts'
import { type Mode, type Tools, timeStamp } from './tools.ts'
import { transact } from './transact.ts'

/** A turn in a stage that only so many hosts may be in at once. */
export type InTurn = <T>(stage: 'preflight' | 'copy' | 'activate', work: () => Promise<T>) => Promise<T>

export interface HostStory {
  readonly host: Host
  readonly mode: Mode
  readonly tools: Tools
  readonly inTurn: InTurn
  /** Called once the host is known to be reachable and fit, with its state, or without one when it isn't. */
  onPreflight?(state: HostState | undefined): void
  /** The toplevel that the host is to run. `state` is the host's before. */
  toplevel(state: HostState): Promise<Toplevel | Problem>
}

/** Never rejects: what went wrong is an outcome. */
export async function deployHost(story: HostStory): Promise<Outcome> {
  const { host, tools } = story
  const started = tools.clock.monotonic()
  const gathered = nothingYet()
  const report: Tools['report'] = (event) => {
    if (event.kind === 'stage') stage = event.stage
    if (event.kind === 'warning') gathered.warnings.push(event.text)
    // What going back printed would push out what explains it.
    if (event.kind === 'log' && event.stage === 'activate' && stage !== 'roll back')
      gathered.log = [...gathered.log, event.line].slice(-500)
    tools.report(event)
  }
  let stage: Stage = 'preflight'
  const session = openSession(host, tools.network)
  const outcome = await tell(story, { session, gathered, tools: { ...tools, report } })
    .catch((error: unknown) => endingOfProblem(asProblem(error, host, stage), tools.signal.aborted))
    .then((ending) => outcomeOf(host, gathered, ending, tools.clock.monotonic() - started))
  await session.close()
  tools.report({ kind: 'outcome', host: host.name, outcome })
  return outcome
}

interface Place {
  readonly session: Session
  readonly gathered: Gathered
  readonly tools: Tools
}

async function tell(story: HostStory, { session, gathered, tools }: Place): Promise<ReturnType<typeof endingOf>> {
  const { host, mode, inTurn } = story
  const enter = (stage: Stage) => tools.report({ kind: 'stage', host: host.name, stage })

  enter('preflight')
  const state = await inTurn('preflight', () => preflight(host, mode, session, tools)).catch((error: unknown) => {
    story.onPreflight?.(undefined)
    throw error
  })
  story.onPreflight?.(state)
  gathered.running = state.running
  gathered.bootId = state.bootId

  const lookAtKeys = async () => warnOfKeys(host, tools, await session.machine(tools.signal))
  const [toplevel] = await Promise.all([story.toplevel(state), lookAtKeys()])
  if (toplevel instanceof Problem) throw toplevel
  gathered.toplevel = toplevel.path
  tools.signal.throwIfAborted()

  const goal = { system: toplevel.path as string, toplevel: toplevel.path as string, mode, reboot: host.reboot }
  if (isDone(host, mode, toplevel.path, state)) {
    return { kind: 'unchanged', generation: state.generation, running: state.running }
  }

  const { builder } = toplevel
  if (builder) enter('copy')
  const closure = builder
    ? await inTurn('copy', () => copyClosure({ host, session, tools, gathered, mode }, { ...toplevel, builder }, state))
    : { release() {} }
  try {
    if (host.specialisation) {
      const machine = await session.machine(tools.signal)
      const wanted = { toplevel: toplevel.path, name: host.specialisation }
      goal.system = await resolveSpecialisation(machine, wanted, tools.signal)
      if (stepsTo(goal, state) === 'none') {
        return { kind: 'unchanged', generation: state.generation, running: state.running }
      }
    }
    if (mode === 'dry-activate') return await dryActivate({ host, session, tools }, goal.system)
    gathered.system = goal.system
    gathered.deploymentId = `${timeStamp(tools.clock.now())}-${tools.randomHex(3)}`
    const request = {
      id: gathered.deploymentId,
      nonce: tools.randomHex(16),
      mode,
      system: goal.system,
      toplevel: goal.toplevel,
      expectedRunning: state.running,
      bootId: state.bootId,
      switchTimeoutMs: host.activation.timeoutMs,
      confirmWithinMs: host.activation.confirmWithinMs,
      reboot: host.reboot,
      rebootWithinMs: host.activation.rebootWithinMs,
      holder: tools.who,
      since: tools.clock.now(),
      record: {
        by: tools.who,
        mode,
        toplevel: goal.toplevel,
        previous: state.running,
        revision: toplevel.revision,
      },
    }
    const transacted = await inTurn('activate', () =>
      transact({ host, session, tools }, request, () => closure.release()),
    )
    const text = bootWarning(transacted)
    if (text !== undefined) tools.report({ kind: 'warning', host: host.name, text })
    if (transacted.kind === 'ended' && transacted.result.end === 'deployed')
      await cleanAfterwards({ host, session, tools })
    if (transacted.kind === 'refused' && transacted.word === 'changed') {
      // Somebody else was faster. If it was with the same system, there is nothing left to do.
      const present = await probe(await session.machine(tools.signal), tools.program, tools.signal)
      if (stepsTo(goal, present) === 'none') {
        return { kind: 'unchanged', generation: present.generation, running: present.running }
      }
    }
    return endingOf(transacted, gathered, state.running)
  } finally {
    closure.release()
  }
}

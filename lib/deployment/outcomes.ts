/** From what happened to the outcome that is told. */
import type { TransactionResult } from '../activation/transaction.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Problem } from '../problem.ts'
import type { Outcome, OutcomeKind } from './outcome.ts'
import type { Transacted } from './transact.ts'

/** What a host's story has gathered so far. */
export interface Gathered {
  running: string
  /** of the boot during which the deployment began */
  bootId: string
  toplevel: string
  /** what is activated: the toplevel or a specialisation of it */
  system: string
  deploymentId: string
  sentBytes: number
  sentPaths: number
  sparedBytes: number
  warnings: string[]
  /** the last lines that the switch printed */
  log: string[]
}

export const nothingYet = (): Gathered => ({
  running: '',
  bootId: '',
  toplevel: '',
  system: '',
  deploymentId: '',
  sentBytes: 0,
  sentPaths: 0,
  sparedBytes: 0,
  warnings: [],
  log: [],
})

interface Ending {
  kind: OutcomeKind
  reason?: string
  hints?: readonly string[]
  detail?: string
  generation?: number | undefined
  running?: string
  internal?: boolean
}

export const outcomeOf = (host: Host, gathered: Gathered, ending: Ending, milliseconds: number): Outcome => ({
  host: host.name,
  kind: ending.kind,
  reason: ending.reason ?? '',
  internal: ending.internal ?? false,
  running: ending.running ?? gathered.running,
  hints: ending.hints ?? [],
  detail: ending.detail ?? '',
  warnings: gathered.warnings,
  toplevel: gathered.toplevel,
  generation: ending.generation,
  deploymentId: gathered.deploymentId,
  sentBytes: gathered.sentBytes,
  sentPaths: gathered.sentPaths,
  sparedBytes: gathered.sparedBytes,
  milliseconds,
})

export const kindOfEnd: Readonly<Record<TransactionResult['end'], OutcomeKind>> = {
  deployed: 'deployed',
  staged: 'staged',
  tested: 'tested',
  'rolled-back': 'rolled back',
  untouched: 'untouched',
  'left-alone': 'needs hands',
  'needs-hands': 'needs hands',
  rebooting: 'left to roll back',
  cleaned: 'unchanged',
  unknown: 'needs hands',
}

/** In the order in which the host names them. */
const bootPart: Readonly<Record<string, string>> = {
  kernel: 'this kernel has',
  initrd: 'this initrd has',
  'kernel-modules': 'these kernel modules have',
}

/** What no software on the host can promise: that a kernel boots which never has. Undefined: nothing to warn of. */
export function bootWarning(transacted: Transacted): string | undefined {
  if (transacted.kind !== 'ended' || !['deployed', 'staged'].includes(transacted.result.end)) return undefined
  const [part] = transacted.result.notBootedYet
  return part === undefined ? undefined : `${bootPart[part] ?? part} not booted on this host yet`
}

/** The ending of a transaction. `before` is what ran when it began. */
export function endingOf(transacted: Transacted, gathered: Gathered, before: string): Ending {
  const detail = gathered.log.join('\n')
  switch (transacted.kind) {
    case 'left':
      if (transacted.isMissing) return missingEnding(transacted)
      return {
        kind: 'left to roll back',
        reason: leftReason(transacted),
        hints: ['see how it ended with `deploy status` and `deploy history`'],
        detail,
        running: '',
      }
    case 'refused':
      if (transacted.word === 'locked') return { kind: 'locked', reason: `${transacted.reason} is deploying this host` }
      return {
        kind: 'untouched',
        reason: transacted.reason,
        detail: transacted.word === 'inhibited' ? detail : '',
        hints:
          transacted.word === 'inhibited'
            ? ['try `deploy --reboot`']
            : transacted.word === 'lasting'
              ? ['try `deploy --mode boot`, then reboot the host: nothing guards that reboot']
              : ['deploy once more'],
      }
    case 'ended': {
      const { result } = transacted
      if (result.end === 'unknown') return lostEnding(transacted, gathered, before)
      const failed = !['deployed', 'staged', 'tested'].includes(result.end)
      return {
        kind: kindOfEnd[result.end],
        reason: result.reason,
        detail: failed && !transacted.explained && result.end !== 'left-alone' ? detail : '',
        generation: result.generation,
        running: result.running,
        hints: endingHints(result),
      }
    }
  }
}

const missingEnding = ({ reason, confirmationSent, triesOnce }: Extract<Transacted, { kind: 'left' }>): Ending => ({
  kind: 'needs hands',
  reason,
  hints: triesOnce
    ? ['switch it off and on: its boot loader then starts what it started before']
    : [
        ...(confirmationSent ? [] : ['if it boots at all, it goes back by itself, with one more reboot']),
        'look at its console: its boot menu may have the generation before',
      ],
  running: '',
})

function leftReason({ reason, until, confirmationSent }: Extract<Transacted, { kind: 'left' }>): string {
  const time = until.toISOString().replace(/\.\d+Z$/, 'Z')
  return confirmationSent
    ? `${reason} while it was confirmed: the host keeps the new system, or goes back by itself by ${time}`
    : `${reason}; the host goes back by itself by ${time} at the latest`
}

const endingHints = ({ end, advice }: TransactionResult): string[] => {
  if (end === 'rebooting') return ['look at it again in a few minutes: `deploy status`']
  if (end === 'left-alone') return ['look at it with `deploy status`, then deploy again']
  if (advice === 'reboot') return ['try `deploy --reboot`']
  if (advice === 'time') return ['give it more time: `activation: { timeout: … }` in hosts.yaml']
  return []
}

/** The host knows nothing of the transaction any more, or never heard of it: what it runs now is the truth. */
function lostEnding(
  { result, isUnverified, hasActed, reboots }: Extract<Transacted, { kind: 'ended' }>,
  gathered: Gathered,
  before: string,
): Ending {
  const { running, profile, boot, bootId } = result
  const permanent = profile === gathered.toplevel && (boot === gathered.toplevel || boot === 'unknown')
  const restarted = bootId !== gathered.bootId
  if (running === before && !permanent) {
    if (restarted)
      return { kind: 'rolled back', reason: 'the host restarted before the new system was made permanent', running }
    return hasActed
      ? { kind: 'rolled back', reason: 'the host runs what it ran before, and has no record of why', running }
      : { kind: 'untouched', reason: 'contact was lost before the activation began', running }
  }
  if (permanent && (running === gathered.system || running === gathered.toplevel)) {
    if (isUnverified) {
      const reason = 'the host booted the new system, and what should have guarded it is gone: nothing was verified'
      const hints = [
        'look at it with `deploy check`; `deploy rollback` goes back',
        'it may empty /etc or /var at every boot',
      ]
      return { kind: 'needs hands', reason, hints, running }
    }
    return {
      kind: 'deployed',
      reason: restarted && !reboots ? 'the host restarted after the confirmation' : '',
      running,
    }
  }
  return { kind: 'needs hands', reason: `the host runs ${running || 'something unknown'}`, running }
}

/** The ending of a story that did not get as far as a transaction. */
export function endingOfProblem(problem: Problem, interrupted: boolean): Ending {
  const kind: OutcomeKind =
    interrupted || problem.kind === 'interrupted'
      ? 'interrupted'
      : problem.kind === 'unreachable'
        ? 'unreachable'
        : problem.kind === 'locked'
          ? 'locked'
          : 'untouched'
  const reason = kind === 'interrupted' ? 'interrupted before activation; nothing was changed' : problem.message
  const internal = kind !== 'interrupted' && problem.kind === 'internal'
  return { kind, reason, internal, hints: problem.hints, detail: problem.detail }
}

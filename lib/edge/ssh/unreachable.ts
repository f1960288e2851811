/** Why we are not logged in, told so that one knows what to look at. */
import { NotLetIn } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import type { HostConfig } from './host-config.ts'
import type { Identities } from './identities.ts'

export const address = (config: HostConfig): string =>
  config.hostName.includes(':') ? `[${config.hostName}]:${config.port}` : `${config.hostName}:${config.port}`

const problem = (message: string, parts: { cause?: unknown; detail?: string; hints?: readonly string[] } = {}) =>
  new Problem(message, { kind: 'unreachable', ...parts })

/** What the system calls answer (connect(2), getaddrinfo(3)). */
const words: Readonly<Record<string, (config: HostConfig) => string>> = {
  ENOTFOUND: (config) => `the name ${config.hostName} was not found`,
  EAI_AGAIN: (config) => `the name ${config.hostName} could not be looked up: no answer from the name server`,
  ECONNREFUSED: (config) => `${address(config)} refused the connection`,
  EHOSTUNREACH: (config) => `there is no route to ${address(config)}`,
  ENETUNREACH: (config) => `there is no route to ${address(config)}`,
  EHOSTDOWN: (config) => `${address(config)} is down`,
  ETIMEDOUT: (config) => `${address(config)} did not answer`,
  ECONNRESET: (config) => `${address(config)} reset the connection`,
}

export function notConnected(config: HostConfig, cause: unknown): Problem {
  const said = words[codeOf(cause)]
  const reason = cause instanceof Error ? cause.message : String(cause)
  return problem(said ? said(config) : `no connection to ${address(config)}: ${reason}`, { cause })
}

/** Several addresses were tried: the reason of the last one stands for all. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors.at(-1))
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

export function timedOut(config: HostConfig, seconds: number): Problem {
  return problem(`${address(config)} did not answer within ${seconds} s`)
}

export function proxyFailed(config: HostConfig, command: string, detail: string): Problem {
  return problem(`the ProxyCommand for ${config.original} gave no connection`, {
    detail,
    hints: [`it was: ${command}`],
  })
}

export function hopRefused(hop: HostConfig, target: HostConfig, cause: Error): Problem {
  const reason = cause.message.replace('(SSH) Channel open failure: ', '')
  return problem(`${hop.original} gave no way to ${address(target)}: ${reason}`, { cause })
}

export function closedEarly(config: HostConfig, cause: Error): Problem {
  return problem(`${address(config)} closed the connection before the login: ${cause.message}`, {
    cause,
    hints: ['its sshd may limit logins (MaxStartups, PerSourcePenalties) or refuse this address: look at its log'],
  })
}

export function notLetIn(config: HostConfig, tried: Identities, server: string): NotLetIn {
  const offered = [
    ...tried.agentKeys.map((key) => `the agent's key ${key.comment}`.trimEnd()),
    ...tried.files.map((one) => one.file),
  ]
  const encrypted = tried.skipped.some((one) => one.includes('encrypted'))
  const detail = [
    `tried:   ${offered.length === 0 ? 'no key' : offered.join(', ')}`,
    ...(tried.skipped.length === 0 ? [] : [`skipped: ${tried.skipped.join(', ')}`]),
    ...(server === '' ? [] : [`it said: ${server}`]),
  ]
  return new NotLetIn(`${address(config)} did not let ${config.user} log in`, {
    kind: 'unreachable',
    detail: detail.join('\n'),
    hints: [
      ...(tried.agentKeys.length > 5
        ? ['sshd gives up after six keys: name the right one, with IdentityFile and IdentitiesOnly yes']
        : []),
      ...(encrypted ? ['keys are never unlocked here: give them to an agent first, with ssh-add'] : []),
      `see whether this works, and why not: ssh -v -o BatchMode=yes ${config.typed} true`,
    ],
  })
}

/** What is wrong with keys, told apart, each with the command that mends it. */
import { keyWords, nixbuildHost, nixbuildTokenCommand } from '../nix/nixbuild.ts'
import type { ManagedLogin } from './login.ts'
import { type AccountKey, isDaemons, type KeyForm, type KeyHost } from './state.ts'

export interface Finding {
  readonly account: string
  /** stable, for --json */
  readonly code: string
  readonly text: string
  /** what to do, a command or a sentence */
  readonly mend: string
}

/** Whether the service accepts a key, seen from the host; `unknown` where there is none to try. */
export type Acceptance = 'yes' | 'refused' | 'host-key' | 'unreachable' | 'unknown'

const forms: Readonly<Record<Exclude<KeyForm, 'ok'>, string>> = {
  missing: 'there is no key',
  'no-account': 'there is no such account on the host',
  passphrase: 'the key has a passphrase, which nobody types for the daemon',
  'line-ends': 'the key has CRLF line ends, and ssh passes over it',
  'no-final-newline': 'the key lacks its final newline, and ssh passes over it',
  'other-type': 'the key is not of type Ed25519, the only one that nixbuild.net takes',
  unreadable: 'the account cannot read the key',
  'no-key': 'the file is no private key',
  'no-token': 'the file holds no token',
}

const othersMayRead = { key: 'ssh passes over a key that others may read', token: 'others may read the token' }

/** In the order in which they would have to be mended. `host`: its name in hosts.yaml. */
export function findingsOf(host: string, key: AccountKey, { port }: { port: number }): Finding[] {
  const { account, file, form } = key
  const install = `deploy keys install ${host}`
  const found = (code: string, text: string, mend = install): Finding => ({ account, code, text, mend })
  if (form === 'no-account') {
    return [found(form, forms[form], 'leave it out of nixbuildKeys in hosts.yaml, or deploy a system that has it')]
  }
  if (form === 'missing' && key.kind === 'token') {
    return [found(form, 'there is no token: none was brought there since the host started')]
  }
  // Whatever was being changed: there is no key until another one is made.
  if (form === 'missing') return [found(form, forms[form])]
  const findings: Finding[] = []
  if (key.rotating) {
    findings.push(found('rotating', 'a change of the key was interrupted', `deploy keys rotate ${host}`))
  }
  // A key that something else puts there has the rights that are given to it there.
  if (key.link === undefined && key.owner !== undefined && key.owner !== account) {
    findings.push(found('owner', `${file} belongs to ${key.owner}`))
  }
  if (key.link === undefined && key.mode !== undefined && !/00$/.test(key.mode)) {
    findings.push(found('mode', `${file} has mode ${key.mode}: ${othersMayRead[key.kind]}`))
  }
  if (form !== 'ok' && !(form === 'unreadable' && findings.length > 0)) {
    findings.push(found(form, forms[form]))
  }
  if (key.isVolatile) {
    const mend = 'keep the directory over boots, or have the key put there at each boot'
    findings.push(found('volatile', `${file} lies in memory and is gone at the next boot`, mend))
  }
  return [...findings, ...configurationFindings(key, port, found)]
}

type Found = (code: string, text: string, mend?: string) => Finding

function configurationFindings(key: AccountKey, port: number, found: Found): Finding[] {
  const { account, home, ssh } = key
  if (ssh.error !== undefined) return [found('configuration', `ssh refuses its configuration: ${ssh.error}`)]
  const mend = ssh.isInStore ? `${home}/.ssh/config comes from the configuration: add the block there` : undefined
  const login = key.kind === 'token' ? unsentToken(key) : unnamedKey(key)
  const findings: Finding[] = login === undefined ? [] : [found(login.code, login.text, mend)]
  if (ssh.alive !== 60 || !ssh.isThroughput) {
    const text = 'ServerAliveInterval 60 and IPQoS throughput are not set, without which long builds break off'
    findings.push(found('options', text, mend))
  }
  if (ssh.isBlockOpen) {
    const text = `the block in ${home}/.ssh/config has no \`Match all\` at its end: what follows holds for ${nixbuildHost} alone`
    findings.push(found('block', text))
  }
  if (ssh.port !== port) findings.push(found('port', `ssh as ${account} uses port ${ssh.port}, not ${port}`, mend))
  if (ssh.pinnedIn.length === 0) {
    const [wrong] = ssh.otherHostKeyIn
    findings.push(
      wrong === undefined
        ? found('no-host-key', `the host key of ${nixbuildHost} is not known to ${account}`)
        : found('other-host-key', `${wrong} has another host key for ${nixbuildHost} than the right one`),
    )
  }
  return findings
}

type Reason = { readonly code: string; readonly text: string }

function unnamedKey({ account, file, ssh }: AccountKey): Reason | undefined {
  if (ssh.isTokenLogin) {
    return { code: 'not-named', text: `ssh as ${account} logs in to ${nixbuildHost} with a token, and with no key` }
  }
  if (ssh.identities.includes(file)) {
    if (ssh.identitiesOnly && ssh.identities[0] === file) return undefined
    return { code: 'other-identities', text: `ssh as ${account} offers other keys before this one` }
  }
  const [alias] = ssh.aliases
  if (alias === undefined) {
    return { code: 'not-named', text: `ssh as ${account} does not use ${file} for ${nixbuildHost}` }
  }
  const text = `ssh has the key for \`Host ${alias}\`, and Nix says ${nixbuildHost}: it does not match`
  return { code: 'alias', text }
}

const unsentToken = ({ account, ssh }: AccountKey): Reason | undefined =>
  ssh.isTokenLogin && ssh.sendsToken
    ? undefined
    : { code: 'not-named', text: `ssh as ${account} does not log in to ${nixbuildHost} with the token` }

/** What keeps the daemon from using this key: it looks for the host key in its own places. */
export function daemonFindings(host: string, state: KeyHost, key: AccountKey, service: { hostKey: string }): Finding[] {
  const { account } = key
  if (!isDaemons(state, key)) return []
  const right = keyWords(service.hostKey).join(' ')
  const wrong = state.builders.find(({ hostKey }) => hostKey !== undefined && hostKey !== right)
  if (wrong) {
    const text = `the daemon's builder ${wrong.uri} has another host key for ${nixbuildHost} than the right one`
    const mend = `correct publicHostKey in nix.buildMachines: \`deploy keys module ${host}\` prints the right one`
    return [{ account, code: 'builder-host-key', text, mend }]
  }
  const named = state.builders.find(({ uri }) => /^(?:\w[\w-]*:\/\/)?[^/@?]+@/.test(uri) && !/\bauthtoken@/.test(uri))
  if (key.kind === 'token' && named) {
    const text = `the daemon's builder ${named.uri} names a user, and who logs in with a token is authtoken`
    return [{ account, code: 'builder-user', text, mend: 'leave the user out in nix.buildMachines (sshUser)' }]
  }
  // Root's own view is told of with root's own key.
  const isTold = account === 'root' || state.accounts.some((one) => one.account === 'root')
  if (isTold || state.rootPinnedIn.length > 0 || state.builders.every(({ hostKey }) => hostKey !== undefined)) return []
  const [other] = state.rootOtherHostKeyIn
  const text =
    other === undefined
      ? `the host key of ${nixbuildHost} is not known to root, whose daemon uses this key`
      : `${other}, where root's daemon looks, has another host key for ${nixbuildHost} than the right one`
  return [{ account, code: 'daemon-host-key', text, mend: `deploy keys install ${host}` }]
}

/** `said`: by ssh or the service, for a person. */
export function acceptanceFinding(
  host: string,
  { account, kind, wasAccepted }: ManagedLogin & Pick<AccountKey, 'wasAccepted'>,
  { acceptance, said }: { acceptance: Acceptance; said: string },
): Finding[] {
  const found = (code: string, text: string, mend: string): Finding[] => [{ account, code, text, mend }]
  switch (acceptance) {
    case 'refused':
      if (kind === 'token') {
        const again = `make one that may build (${nixbuildTokenCommand}), then \`deploy keys install ${host}\``
        return found('refused', `nixbuild.net does not accept the token${said === '' ? '' : `: ${said}`}`, again)
      }
      return wasAccepted
        ? found('revoked', 'nixbuild.net knew the key, and the account has it no longer', `deploy keys rotate ${host}`)
        : found('not-registered', 'nixbuild.net does not know the key', `deploy keys install ${host}`)
    case 'host-key':
      return found(
        'impostor',
        `what answers at ${nixbuildHost} has another host key than the right one`,
        'is the name resolved rightly there? A service of your own says hostKey in hosts.yaml',
      )
    case 'unreachable':
      return found('unreachable', `nixbuild.net could not be asked from there: ${said}`, 'look at its network')
    default:
      return []
  }
}

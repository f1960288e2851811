/** Keys that an ssh-agent holds. */
import { runProcess } from '../process.ts'
import type { HostConfig } from './host-config.ts'
import { parsePublicKey } from './key-file.ts'
import type { BaseAgent, Ssh2 } from './ssh2.ts'
import { expandFile } from './tokens.ts'

export interface AgentKey {
  readonly key: Buffer
  readonly comment: string
}

/** The socket that the configuration names (ssh_config(5), IdentityAgent), or that of the environment. */
export function agentSocket(config: HostConfig): string | undefined {
  if (config.none('identityagent')) return undefined
  const named = config.one('identityagent') ?? 'SSH_AUTH_SOCK'
  if (named === 'SSH_AUTH_SOCK') return process.env['SSH_AUTH_SOCK'] || undefined
  if (named.startsWith('$') && !named.startsWith('${')) return process.env[named.slice(1)] || undefined
  return expandFile(named, config)
}

/** All of them, also the kinds that ssh2 leaves out without a word. Empty when there is no agent. */
export async function agentKeys(socket: string, signal: AbortSignal): Promise<AgentKey[]> {
  const env = { ...process.env, SSH_AUTH_SOCK: socket }
  const { stdout } = await runProcess(['ssh-add', '-L'], { env, signal })
  return stdout.split('\n').flatMap((line) => {
    const key = /^\S+ AAAA/.test(line) ? parsePublicKey(line) : undefined
    return key ? [{ key, comment: line.split(' ').slice(2).join(' ') }] : []
  })
}

/** The agent, but with these keys in this order. */
export function agentWith(ssh2: Ssh2, socket: string, keys: readonly AgentKey[]): BaseAgent {
  const agent = ssh2.createAgent(socket)
  class ChosenKeys extends ssh2.BaseAgent<Buffer> {
    getIdentities: BaseAgent<Buffer>['getIdentities'] = (callback) =>
      callback(
        null,
        keys.map((one) => one.key),
      )
    sign: BaseAgent<Buffer>['sign'] = agent.sign.bind(agent)
  }
  return new ChosenKeys()
}

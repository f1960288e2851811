/** Commands over one ssh2 connection. */
import { quote } from '../../machine/command.ts'
import type { Login } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import { lost } from '../lost.ts'
import { NoRoom, type Started, type Transport } from '../machine.ts'
import { environment } from './environment.ts'
import type { HostConfig } from './host-config.ts'
import type { Session } from './session.ts'
import type { ClientChannel } from './ssh2.ts'
import { wrapChannel } from './ssh2-channel.ts'

export function ssh2Transport(session: Session, config: HostConfig, login: Login): Transport {
  const { client, over } = session
  const { name } = login
  const env = { ...environment(config), ...login.environment }

  function start(argv: readonly string[], signal?: AbortSignal): Promise<Started> {
    return new Promise((resolve, reject) => {
      const gone = () => fail(lost(name))
      const leave = () => fail(signal?.reason)
      const fail = (error: unknown) => {
        over.removeEventListener('abort', gone)
        signal?.removeEventListener('abort', leave)
        reject(error)
      }
      const opened = (error: (Error & { reason?: unknown }) | undefined, stream: ClientChannel) => {
        if (over.aborted) return
        if (error) return fail(refused(name, error))
        over.removeEventListener('abort', gone)
        const { channel, freed, kill } = wrapChannel(stream, over)
        signal?.removeEventListener('abort', leave)
        signal?.addEventListener('abort', kill)
        void channel.exit.then(() => signal?.removeEventListener('abort', kill))
        if (signal?.aborted) kill()
        resolve({ channel, freed })
      }
      over.addEventListener('abort', gone)
      signal?.addEventListener('abort', leave)
      if (over.aborted) return gone()
      if (signal?.aborted) return leave()
      try {
        client.exec(argv.map(quote).join(' '), { env }, opened)
      } catch {
        gone()
      }
    })
  }

  const closed = new Promise<void>((resolve) => {
    if (over.aborted) resolve()
    over.addEventListener('abort', () => resolve())
  })
  return { start, closed, close: session.close }
}

/** Only a refused channel has a reason code (RFC 4254, section 5.1); otherwise it is the command that was refused. */
function refused(name: string, error: Error & { reason?: unknown }): Error {
  if (typeof error.reason === 'number') return new NoRoom(name, error)
  return new Problem(`the SSH server of ${name} runs no commands for this login`, { host: name, cause: error })
}

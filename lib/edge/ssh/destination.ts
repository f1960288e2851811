/** What was typed after `ssh`. */
import { Problem } from '../../problem.ts'

/** Arguments of `ssh` that name a destination: options first, then `--` and `[user@]host`. */
export type DestinationArguments = readonly string[]

// OpenSSH refuses the same characters since 9.6, because names end up in a ProxyCommand's shell (CVE-2023-51385).
const dangerous = /[\s\p{Cc}'"`$\\;&<>|(){}]/u

/** `[user@]host`, an alias, or `ssh://[user@]host[:port]`. Throws a Problem for what an option or a shell could be. */
export function destinationArguments(destination: string): DestinationArguments {
  const uri = /^ssh:\/\/([^/]*)\/?$/.exec(destination)?.[1]
  // OpenSSH's own reading of these knows no IPv6 address after a user.
  if (uri !== undefined) return hopArguments(uri)
  const host = destination.replace(/^.*@/s, '')
  if (destination.startsWith('-') || host.startsWith('-') || host === '' || dangerous.test(destination))
    throw new Problem(`'${destination}' is not a destination for ssh`, {
      kind: 'usage',
      hints: ['write user@host, an alias of your ssh configuration, or ssh://user@host:port'],
    })
  return ['--', destination]
}

/** One hop of ProxyJump: `[user@]host[:port]` or a URI. */
export function hopArguments(hop: string): DestinationArguments {
  if (hop.startsWith('ssh://')) return destinationArguments(hop)
  const [, user, bracketed, plain, port] = /^(?:(.*)@)?(?:\[(.+)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/s.exec(hop) ?? []
  const named = destinationArguments(bracketed ?? plain ?? '')
  if (user !== undefined) destinationArguments(user)
  return [...(user === undefined ? [] : ['-l', user]), ...(port === undefined ? [] : ['-p', port]), ...named]
}

/** Options stand before the destination. A value with blanks or quotes is one value, as in a configuration file. */
export const optionArguments = (options: Readonly<Record<string, string>>): string[] =>
  Object.entries(options).flatMap(([keyword, value]) => ['-o', `${keyword}=${quoted(value)}`])

function quoted(value: string): string {
  if (/[\n\r\0]/.test(value)) throw new Problem('an option of ssh is one line', { kind: 'usage' })
  return /^[A-Za-z0-9_/:=.,@+-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
}

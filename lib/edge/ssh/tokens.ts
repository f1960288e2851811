/** `%h` and its like in values of ssh_config, which `ssh -G` leaves as they are (ssh_config(5), TOKENS). */
import { homedir, hostname, userInfo } from 'node:os'
import { BeyondSsh2 } from './beyond-ssh2.ts'
import type { HostConfig } from './host-config.ts'

/** Throws `BeyondSsh2` for a token that isn't known here. */
export function expandTokens(value: string, config: HostConfig): string {
  const tokens: Readonly<Record<string, () => string>> = {
    '%': () => '%',
    d: () => homedir(),
    h: () => config.hostName,
    i: () => String(userInfo().uid),
    k: () => config.one('hostkeyalias') ?? config.original,
    L: () => hostname().replace(/\..*$/, ''),
    l: () => hostname(),
    n: () => config.original,
    p: () => String(config.port),
    r: () => config.user,
    u: () => userInfo().username,
  }
  return value.replace(/%(.?)/gs, (whole, name: string) => {
    const token = tokens[name]
    if (!token) throw new BeyondSsh2(`the token ${whole} in '${value}'`)
    return token()
  })
}

/** A file name of ssh_config: `~`, `${VARIABLE}` and tokens. */
export function expandFile(value: string, config: HostConfig): string {
  const home = value.replace(/^~(?=\/|$)/, () => homedir())
  return expandTokens(home, config).replace(/\$\{(\w+)\}/g, (whole, name: string) => {
    const content = process.env[name]
    if (content === undefined) throw new BeyondSsh2(`the variable ${whole} in '${value}'`)
    return content
  })
}

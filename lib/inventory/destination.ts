/** What is typed after `ssh`: `[user@]host`, `ssh://[user@]host[:port]`, or an alias of ssh_config. */

/**
 * What is wrong with a destination, in words, or undefined. A leading dash would be an option of ssh, and the other
 * characters are the ones OpenSSH refuses in host and user names (its ssh.c, valid_hostname and valid_ruser).
 */
export function destinationMistake(text: string): string | undefined {
  if (text === '') return 'is empty: write what you would type after ssh'
  if (text.startsWith('-')) return 'starts with a dash, which ssh would read as an option'
  if (/[\s'"`$\\;&<>|(){}*?]|\p{Cc}/u.test(text)) return 'contains a character that no user or host name has'
  const { host, port } = destinationParts(text)
  if (host === '') return 'names no host'
  if (host.startsWith('-')) return 'has a host that starts with a dash, which ssh would read as an option'
  if (port !== '' && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    return `has the port ${port}, which is not a number from 1 to 65535`
  }
  if (!text.startsWith('ssh://')) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return 'is not a destination of ssh'
    const colon = /^([^:[\]]+):(\d*)$/.exec(text)
    if (colon) return `has a colon: write ssh://${text} for a port`
  } else if (/[/?#]/.test(text.slice('ssh://'.length).replace(/\/$/, ''))) {
    return 'has something after the host: write ssh://user@host:port'
  }
  return undefined
}

function destinationParts(destination: string): { host: string; port: string } {
  const isUrl = destination.startsWith('ssh://')
  const text = isUrl ? destination.slice('ssh://'.length).replace(/\/$/, '') : destination
  const afterUser = text.slice(text.lastIndexOf('@') + 1)
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(afterUser)
  if (bracketed) return { host: bracketed[1] ?? '', port: bracketed[2] ?? '' }
  const colon = isUrl ? afterUser.lastIndexOf(':') : -1
  if (colon < 0) return { host: afterUser, port: '' }
  return { host: afterUser.slice(0, colon), port: afterUser.slice(colon + 1) }
}

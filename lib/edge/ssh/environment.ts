/** The variables that the configuration sends along with every command (ssh_config(5), SendEnv and SetEnv). */
import type { HostConfig } from './host-config.ts'

/** This machine's language. The host's programs shall answer alike, whoever asks. */
const language = /^(LANG|LANGUAGE|LC_.*)$/

export function environment(config: HostConfig): Record<string, string> {
  const sent: Record<string, string> = {}
  const patterns = config.all('sendenv').flatMap((value) => value.split(/\s+/))
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !language.test(name) && patterns.some((one) => matches(name, one))) sent[name] = value
  }
  for (const assignment of config.all('setenv')) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(assignment) ?? []
    if (name !== undefined && value !== undefined) sent[name] = value
  }
  return sent
}

/** What OpenSSH's own client gets as its environment, so that it sends no language either. */
export function withoutLanguage(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !language.test(name)))
}

function matches(name: string, pattern: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`).test(name)
}

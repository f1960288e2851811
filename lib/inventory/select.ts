/** Which hosts are meant by the words after `deploy`. Every word is looked at before anything is done. */
import { Problem } from '../problem.ts'
import type { Host } from './inventory.ts'
import { closest, editDistance } from './suggestion.ts'
import { verbs } from './verbs.ts'

/**
 * Names, `@tag` and globs (`pi-*`), or all. Each host once, in the order of the file. Throws a Problem of kind `usage`
 * that tells of every word that matches nothing; naming no host is an error, never all of them.
 */
export function selectHosts(
  among: ReadonlyMap<string, Host>,
  words: readonly string[],
  options: { all: boolean },
): Host[] {
  const hosts = [...among.values()]
  if (options.all) {
    if (words.length === 0) return hosts
    throw new Problem(`--all means every host: leave out ${words.join(' ')}, or leave out --all`, { kind: 'usage' })
  }
  if (words.length === 0) {
    throw new Problem('no host named', {
      kind: 'usage',
      hints: [`name hosts, @tags or patterns like 'pi-*', or say --all`, `the hosts are ${names(hosts)}`],
    })
  }
  const chosen = new Set<Host>()
  const mistakes: string[] = []
  for (const word of words) {
    const matching = hosts.filter(matcher(word))
    for (const host of matching) chosen.add(host)
    if (matching.length === 0) mistakes.push(unknownWord(word, hosts))
  }
  if (mistakes.length > 0) {
    const [first = '', ...rest] = mistakes
    throw new Problem(rest.length === 0 ? first : `${mistakes.length} words name no host`, {
      kind: 'usage',
      ...(rest.length > 0 && { detail: mistakes.join('\n') }),
      hints: [`the hosts are ${names(hosts)}`],
    })
  }
  return hosts.filter((host) => chosen.has(host))
}

const isGlob = (word: string) => /[*?]/.test(word)

function matcher(word: string): (host: Host) => boolean {
  if (word.startsWith('@')) return (host) => host.tags.includes(word.slice(1))
  if (!isGlob(word)) return (host) => host.name === word
  const escaped = word.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  const pattern = new RegExp(`^${escaped.replace(/\*+/g, '.*').replaceAll('?', '.')}$`, 's')
  return (host) => pattern.test(host.name)
}

function unknownWord(word: string, hosts: readonly Host[]): string {
  if (word.startsWith('@')) {
    const tag = closest(word.slice(1), new Set(hosts.flatMap((host) => host.tags)))
    return `no host has the tag ${word.slice(1)}${tag === undefined ? '' : `; did you mean @${tag}?`}`
  }
  if (isGlob(word)) return `no host matches ${word}`
  if ((verbs as readonly string[]).includes(word)) return `${word} is a verb and stands first: deploy ${word} …`
  const host = closest(
    word,
    hosts.map((one) => one.name),
  )
  const verb = closest(word, verbs)
  const meansVerb = verb !== undefined && (host === undefined || editDistance(word, verb) < editDistance(word, host))
  const tagged = hosts.some((one) => one.tags.includes(word)) ? `@${word}` : undefined
  const meant = tagged ?? (meansVerb ? `the verb ${verb}` : host)
  return `there is no host ${word}${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

function names(hosts: readonly Host[]): string {
  const shown = hosts.slice(0, 12).map((host) => host.name)
  return `${shown.join(', ')}${hosts.length > shown.length ? `, … (${hosts.length})` : ''}`
}

/** `deploy clean HOST.. [--dry-run]` */
import { parseDuration } from '../inventory/duration.ts'
import { Problem } from '../problem.ts'
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { lookAt } from './look-at.ts'
import { once, outputOptions, selectionOptions, wholeNumber } from './options.ts'
import { verb } from './verb.ts'

export const clean = verb({
  name: 'clean',
  words: '[host..]',
  summary: 'delete old generations of hosts, then collect garbage there',
  examples: [
    ['$0 clean dave --dry-run', 'what would go, and how much that would free'],
    ['$0 clean dave', 'keeps what hosts.yaml says; else the newest 5, and what is younger than 30 days'],
  ],
  options: {
    ...selectionOptions,
    'dry-run': { type: 'boolean', describe: 'say what would go; delete nothing', group: 'How' },
    keep: {
      type: 'string',
      requiresArg: true,
      value: 'N',
      describe: 'keep so many of the newest generations',
      group: 'How',
      coerce: (value: string | undefined): number | undefined => wholeNumber('--keep', value),
    },
    'older-than': {
      type: 'string',
      requiresArg: true,
      value: 'AGE',
      describe: 'keep what is younger: 30d, 12h',
      group: 'How',
      coerce: (value: string | undefined): number | undefined => {
        const text = once('--older-than', value)
        const age = text === undefined ? undefined : parseDuration(text)
        if (text === undefined || age !== undefined) return age
        throw new Problem(`--older-than takes an age, not ${text || 'nothing'}`, {
          kind: 'usage',
          hints: ['say 30d or 12h'],
        })
      },
    },
    ...outputOptions,
  } as const,
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { cleanedAs, cleanHost, defaultPolicy } = await import('../deployment/clean.ts')
    const { cleanLines } = await import('./clean-lines.ts')
    const found = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      lookAt(hosts, tools, (host) => {
        const policy = host.generations ?? defaultPolicy
        const asked = { keep: given.keep ?? policy.keep, olderThanMs: given['older-than'] ?? policy.olderThanMs }
        return cleanHost(host, { policy: asked, dryRun: given['dry-run'] ?? false }, tools)
      }),
    )
    return concludeFindings(
      found,
      { lines: cleanLines, data: (cleaning) => cleaning, countsAs: cleanedAs },
      { output: given, machine },
    )
  },
})

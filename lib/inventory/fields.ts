/** The values that fields of hosts.yaml have: names, durations, destinations, programs, with the words for what is wrong. */
import * as v from 'valibot'
import { destinationMistake } from './destination.ts'
import { durationPattern, parseDuration, showDuration } from './duration.ts'
import { verbs } from './verbs.ts'

/** Descriptions and defaults go into the JSON Schema that editors show. */
export const about = <T>(description: string, value?: unknown) =>
  v.metadata<T, Readonly<Record<string, unknown>>>({ description, ...(value === undefined ? {} : { default: value }) })

const namePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const nameWords = 'may have letters, digits, -, _ and . and starts with a letter or digit'

export const name = v.pipe(v.string(), v.regex(namePattern, `a name ${nameWords}`))

export const hostName = v.pipe(
  v.string(),
  v.regex(namePattern, `the name of a host ${nameWords}`),
  v.notValues(verbs, (issue) => `no host may be called like the verb: deploy ${issue.input}`),
)

/** Turns a function that says what is wrong into a check; the function is asked again for its words. */
export const unless = (mistake: (text: string) => string | undefined) =>
  v.check<string, (issue: v.CheckIssue<string>) => string>(
    (text) => mistake(text) === undefined,
    (issue) => mistake(issue.input) ?? '',
  )

export const controlMistake = (text: string) => (/\p{Cc}/u.test(text) ? 'contains a control character' : undefined)

export const destination = v.pipe(v.string(), v.nonEmpty('is empty'), unless(destinationMistake))

const longest = 24 * 3_600_000

function durationMistake(text: string): string | undefined {
  const milliseconds = parseDuration(text) ?? 0
  return milliseconds > longest ? `is longer than ${showDuration(longest)}` : undefined
}

const notADuration = (input: unknown) =>
  /^\d+$/.test(String(input)) ? `needs a unit: say ${input}s` : 'is not a duration: say 500ms, 10s, 5m or 1h'

export const duration = v.pipe(
  v.string((issue) => notADuration(issue.input)),
  v.regex(durationPattern, (issue) => notADuration(issue.input)),
  unless(durationMistake),
)

export const positiveDuration = v.pipe(
  duration,
  unless((text) => (parseDuration(text) === 0 ? 'must be longer than zero' : undefined)),
)

/** Of something that gets old: days count, and there is no end. */
export const age = v.pipe(
  v.string((issue) =>
    /^\d+$/.test(String(issue.input)) ? `needs a unit: say ${issue.input}d` : 'is not a duration: say 30d or 12h',
  ),
  v.regex(durationPattern, 'is not a duration: say 30d or 12h'),
)

const word = v.pipe(
  v.string((issue) =>
    ['number', 'boolean'].includes(typeof issue.input) ? `must be quoted: "${issue.input}"` : 'must be a string',
  ),
  v.regex(/^[^\0]*$/, 'contains a NUL character, which no argument can carry'),
)

/** A program and its arguments. */
export const argv = v.pipe(
  v.array(word, 'must be a list of a program and its arguments, since no shell reads it: [test, -e, /run/ready]'),
  v.minLength(1, 'is empty: name a program'),
  v.check((words) => words[0] !== '', 'names no program'),
)

export const httpUrl = v.pipe(
  v.string(),
  v.regex(/^https?:\/\//, 'must start with http:// or https://'),
  unless((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url) return 'is not a url'
    if (url.username || url.password) return 'contains a password, and urls are printed: send an Authorization header'
    return undefined
  }),
)

/** The systems NixOS can be built for, by Nix's names (nixpkgs' lib/systems/doubles.nix, those of Linux). */
export const systems = [
  'aarch64-linux',
  'x86_64-linux',
  'armv7l-linux',
  'armv6l-linux',
  'riscv64-linux',
  'i686-linux',
  'loongarch64-linux',
  'powerpc64le-linux',
  's390x-linux',
  'armv5tel-linux',
  'armv7a-linux',
  'mips64el-linux',
  'mipsel-linux',
  'powerpc64-linux',
  'riscv32-linux',
] as const

/** What others call them. */
export const systemsElsewhere: Readonly<Record<string, string>> = {
  'arm64-linux': 'aarch64-linux',
  'amd64-linux': 'x86_64-linux',
  'x64-linux': 'x86_64-linux',
  'i386-linux': 'i686-linux',
}

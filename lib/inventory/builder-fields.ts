/** What hosts.yaml may say about a builder. */
import * as v from 'valibot'
import { destinationMistake } from './destination.ts'
import { about, controlMistake, destination, name, systems, unless } from './fields.ts'
import { file, loginFields, token } from './login-fields.ts'

const builderMistake = (builder: object) => {
  if ('ssh' in builder && 'store' in builder) return 'says both ssh and store: a builder is one of them'
  if (!('ssh' in builder || 'store' in builder)) return 'says neither ssh nor store'
  if ('ssh' in builder && 'evaluateOn' in builder) return 'has a shell and evaluates itself: leave out evaluateOn'
  if ('ssh' in builder) {
    const field = Object.keys(builder).find((one) => !['ssh', 'systems', ...Object.keys(loginFields)].includes(one))
    return field && `is reached as your ssh configuration says: leave out ${field}`
  }
  if (!('evaluateOn' in builder)) {
    return 'has no shell: say where to evaluate, with evaluateOn: local or the name of a builder'
  }
  const one = ['sudo', 'nixbuildKeys', 'nixbuildToken'].find((field) => field in builder)
  if (one !== undefined) return `has no accounts: leave out ${one}, which is for a builder with ssh`
  const another = ['token', 'auth'].find((field) => field in builder)
  if ('identityFile' in builder && another) return `says both identityFile and ${another}: one of them logs in`
  return undefined
}

const storeMistake = (text: string) => {
  if (!text.startsWith('ssh-ng://')) return 'is not a store that builds: write ssh-ng://host'
  if (text.includes('?')) return "has settings of Nix's after the host, which nothing reads: a key is identityFile here"
  return destinationMistake(text.replace(/^ssh-ng:/, 'ssh:'))
}

const hostKeyMistake = (text: string) =>
  /^(ssh-|ecdsa-)\S+ [A-Za-z0-9+/]+=*$/.test(text)
    ? undefined
    : 'is not a public key: write its type and base64, as in ssh_host_ed25519_key.pub without the comment'

/** Sent as environment variables, in which a line end would be one of several lines. */
const word = v.union(
  [v.pipe(v.string(), unless(controlMistake)), v.number(), v.boolean()],
  'must be a word or a number',
)

const settingName = v.pipe(
  v.string(),
  v.regex(/^[a-z][a-z0-9-]*$/, 'a setting is written as in the documentation of nixbuild.net: max-cpu'),
  v.notValues(['token'], 'the token has a field of its own: token'),
)

const tagName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'the name of a tag has letters, digits, - and _, and starts with a letter'),
)

const keyCommandMistake = (text: string) => {
  if (text.includes('{key}')) return controlMistake(text)
  return 'does not say where the key goes: write {key}'
}

const keyCommand = v.pipe(v.string(), unless(keyCommandMistake))

const keyCommands = v.strictObject({
  add: v.optional(v.pipe(keyCommand, about('Adds a key to the account.', 'ssh-keys add {key} {comment}'))),
  remove: v.optional(v.pipe(keyCommand, about('Removes it.', 'ssh-keys remove {key}'))),
})

export const builderFields = v.strictObject({
  ...loginFields,
  ssh: v.optional(v.pipe(destination, about('A machine with a shell and Nix: evaluates and builds.'))),
  store: v.optional(v.pipe(v.string(), unless(storeMistake), about('A store that builds and has no shell.'))),
  evaluateOn: v.optional(v.pipe(name, about('Where to evaluate for it: local, or a builder with ssh.'))),
  buildHook: v.optional(
    v.pipe(
      v.boolean(),
      about('Reach nixbuild.net by the build hook of whoever evaluates, who fetches what substituters have.', false),
    ),
  ),
  systems: v.optional(
    v.pipe(
      v.array(v.picklist(systems)),
      v.minLength(1, 'is empty: leave it out for a builder that builds for all of its hosts'),
      about('What it builds for; other hosts that name it are built elsewhere.'),
    ),
  ),
  identityFile: v.optional(v.pipe(file, about('The private key that logs in to the store.'))),
  hostKey: v.optional(
    v.pipe(v.string(), unless(hostKeyMistake), about('The only key that the store may prove itself by.')),
  ),
  token: v.optional(v.pipe(token, about('Where the token for nixbuild.net is, in place of a key.'))),
  keyCommands: v.optional(v.pipe(keyCommands, about('How nixbuild.net is told to add and remove keys of hosts.'))),
  settings: v.optional(v.pipe(v.record(settingName, word), about('Settings of nixbuild.net, for its builds.'))),
  tags: v.optional(v.pipe(v.record(tagName, word), about('Tags that builds have at nixbuild.net.'))),
})

export const builder = v.union(
  [
    v.pipe(v.literal('local'), about("The control machine's own Nix.")),
    v.pipe(
      builderFields,
      v.check(
        (fields) => builderMistake(fields) === undefined,
        (issue) => builderMistake(issue.input) ?? '',
      ),
      v.metadata({ oneOf: [{ required: ['ssh'] }, { required: ['store', 'evaluateOn'] }] }),
    ),
  ],
  'must be local, or a map with ssh, or with store and evaluateOn',
)

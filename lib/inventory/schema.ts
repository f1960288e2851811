/** What hosts.yaml may say. docs/hosts.schema.json is generated from this, for editors. */
import * as v from 'valibot'
import { checkFields } from './check-fields.ts'
import { builder } from './builder-fields.ts'
import { about, age, destination, duration, hostName, name, positiveDuration, systems, unless } from './fields.ts'
import { loginFields } from './login-fields.ts'

const directoryMistake = (text: string) => {
  if (text === '') return 'is empty'
  if (/^[a-z][a-z0-9+-]+:/i.test(text)) return 'must be a local directory; --override-input takes other references'
  return text.startsWith('~') ? 'starts with ~, which only a shell expands: write the whole path' : undefined
}

const flakeMistake = (text: string) => {
  if (text === '') return 'is empty'
  if (text.includes('#')) return 'names an output: leave out #…, since each host says its configuration'
  if (text.startsWith('~')) return 'starts with ~, which only a shell expands: write the whole path'
  if (/^(path|git\+file):(?!\/)/.test(text)) return 'is relative, and the builder would look for it: write ./directory'
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return undefined
  if (!/^[./]/.test(text)) return `is an entry of Nix's registry: write ./${text} for a directory, or flake:${text}`
  if (!text.includes('?') || text.endsWith('?submodules=1')) return undefined
  return 'has parameters: write the directory of the flake.nix itself; only ?submodules=1 may follow'
}

const copy = v.strictObject({
  via: v.optional(v.pipe(v.picklist(['relay', 'direct', 'cache']), about('The way to the host.', 'relay'))),
  substitute: v.optional(v.pipe(v.boolean(), about('The host may fetch from its own substituters.', true))),
  compress: v.optional(v.pipe(v.picklist(['auto', 'always', 'never']), about('Compress what is sent.', 'auto'))),
  delta: v.optional(v.pipe(v.picklist(['auto', 'off', 'best']), about('Send what changed inside of paths.', 'off'))),
})

const activation = v.strictObject({
  timeout: v.optional(v.pipe(positiveDuration, about('How long the switch itself may take.', '5m'))),
  confirmWithin: v.optional(
    v.pipe(positiveDuration, about('From the end of the switch to the confirmation; then the host rolls back.', '60s')),
  ),
  settle: v.optional(v.pipe(duration, about('How long everything must stay healthy.', '10s'))),
  rebootWithin: v.optional(
    v.pipe(positiveDuration, about('How long a reboot may take until the host can be logged in to.', '5m')),
  ),
})

const generations = v.pipe(
  v.strictObject({
    keep: v.optional(
      v.pipe(
        v.number('must be a number'),
        v.integer('must be a whole number'),
        v.minValue(1, 'must be at least 1'),
        about('The newest generations are kept, so many of them.', 1),
      ),
    ),
    olderThan: v.optional(v.pipe(age, about('Younger generations are kept.', '0s'))),
  }),
  v.check(({ keep, olderThan }) => keep !== undefined || olderThan !== undefined, 'says neither keep nor olderThan'),
)

/** Every field of a host is optional here, since `defaults` may have given it. */
export const hostFields = v.strictObject({
  ssh: v.optional(v.pipe(destination, about('What you would type after ssh; ~/.ssh/config applies.'))),
  verifyAt: v.optional(v.pipe(destination, about('Where the new system is reached, when its address changes.'))),
  configuration: v.optional(v.pipe(name, about("nixosConfigurations.<configuration>; default: the host's name."))),
  system: v.optional(v.pipe(v.picklist(systems), about('The system of the host, checked before anything is copied.'))),
  tags: v.optional(v.pipe(v.array(name), about('deploy @tag deploys every host that has it.'))),
  builder: v.optional(
    v.pipe(
      v.union(
        [name, v.pipe(v.array(name), v.minLength(1, 'is empty: name a builder'))],
        'must be the name of a builder, or a list of names',
      ),
      about('Where its system is evaluated and built: a builder of this file, or several, of which one is chosen.'),
    ),
  ),
  specialisation: v.optional(v.pipe(v.nullable(name), about('Activate this specialisation of the system.'))),
  copy: v.optional(v.pipe(copy, about('How the closure gets to the host.'))),
  activation: v.optional(v.pipe(activation, about('The time limits of the switch and its confirmation.'))),
  reboot: v.optional(
    v.pipe(
      v.picklist(['never', 'when-needed']),
      about('Reboot, guarded, for what only a boot brings: kernel, initrd, kernel modules.', 'never'),
    ),
  ),
  generations: v.optional(
    v.pipe(generations, about('Old generations are deleted after a confirmed deployment, and garbage is collected.')),
  ),
  checks: v.optional(v.pipe(v.array(checkFields), about('Health checks: unhealthy means rolled back.'))),
  ...loginFields,
})

const input = v.union(
  [
    v.pipe(v.string(), unless(directoryMistake), about('A directory, shipped in place of the input.')),
    v.pipe(
      v.strictObject({ fetch: v.literal('here', 'must be here: the builder fetches all others') }),
      about("What flake.lock names, fetched by this machine's git."),
    ),
  ],
  'must be a directory, or { fetch: here }',
)

export const inventoryFields = v.pipe(
  v.strictObject({
    flake: v.optional(
      v.pipe(v.string(), unless(flakeMistake), about('A directory (git or plain) or any flake reference.', '.')),
    ),
    inputs: v.optional(
      v.pipe(v.record(name, input), about('Inputs of the flake that this machine gives to the builder.')),
    ),
    builders: v.optional(v.pipe(v.record(name, builder), about('Where systems are evaluated and built.'))),
    defaults: v.optional(v.pipe(hostFields, about('Any field of a host, for the hosts that leave it out.'))),
    hosts: v.pipe(v.record(hostName, hostFields), v.minEntries(1, 'names no host'), about('The hosts, by name.')),
  }),
  v.metadata({ title: 'hosts.yaml, the inventory of deploy' }),
)

export type RawInventory = v.InferOutput<typeof inventoryFields>
export type RawHost = v.InferOutput<typeof hostFields>
export type RawBuilder = v.InferOutput<typeof builder>
export type RawCheck = v.InferOutput<typeof checkFields>

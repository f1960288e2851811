/** How a machine is logged in to as root, and how its accounts log in to nixbuild.net: of hosts, and of builders with a shell. */
import * as v from 'valibot'
import { about, controlMistake, unless } from './fields.ts'
import { tokenVariable } from './token.ts'

const fileMistake = (text: string) => {
  if (text === '') return 'is empty'
  if (text.startsWith('~')) return 'starts with ~, which only a shell expands: write the whole path'
  return controlMistake(text)
}

export const file = v.pipe(v.string(), unless(fileMistake))

const variableMistake = (text: string) =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(text) ? undefined : 'is not the name of an environment variable'

export const token = v.pipe(
  v.strictObject(
    {
      env: v.optional(v.pipe(v.string(), unless(variableMistake), about('An environment variable that has it.'))),
      file: v.optional(v.pipe(file, about('A file that has it, which nobody else may read.'))),
    },
    // Not what was found there: it may be the token itself.
    'must say where the token is, { env: NAME } or { file: PATH }',
  ),
  v.check((where) => Object.keys(where).length === 1, 'says where the token is: one of env and file'),
)

export const auth = v.pipe(
  v.literal('token', 'must be token; a key is what it logs in with otherwise'),
  about(`Log in to nixbuild.net with a token, which ${tokenVariable} has where nothing else is said.`),
)

const userName = v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/, 'is not the name of a user'))

export const loginFields = {
  sudo: v.optional(
    v.pipe(
      v.picklist(['passwordless', 'ask', 'none', 'doas', 'run0']),
      about('How the login becomes root; none: it logs in as root.', 'passwordless'),
    ),
  ),
  nixbuildKeys: v.optional(v.pipe(v.array(userName), about('Users of the machine that have keys at nixbuild.net.'))),
  nixbuildToken: v.optional(
    v.pipe(token, about('Where the token is by which root of the machine logs in to nixbuild.net, in place of a key.')),
  ),
  auth: v.optional(auth),
}

import { execFile } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { test } from 'tap'
import { brief, commandLine, elevate, quote } from '../../lib/machine/command.ts'

const run = promisify(execFile)

/** Everything that some shell treats as special, and everything else that fits into an argument. */
const awkward = fc.constantFrom(
  ...[
    '',
    '-',
    '--',
    '-n',
    '-e',
    '=',
    '=ls',
    '~',
    '~root',
    '~+',
    '!',
    '!!',
    '!$',
    '^a^b',
    '#',
    '#x',
    '%',
    '%1',
    '*',
    '?',
  ],
  ...[
    '[a]',
    '{a,b}',
    '{1..3}',
    '$HOME',
    '$\u007bHOME}',
    '$(id)',
    '`id`',
    '$((1))',
    "$'\\n'",
    '\\',
    '\\\\',
    '\\n',
    "\\'",
    "'",
  ],
  ...['"', '\'"\'"', "''", "'\\''", '&&', '||', ';', '&', '|', '>x', '<x', '2>&1', '(a)', 'a b', ' ', '\t', '\n', '\r'],
  ...[
    '\n\n',
    'a\\\nb',
    '\u001b[0m',
    '\u0001',
    '\u007f',
    'é',
    '日本',
    '🦊',
    '\u00a0',
    '\u2028',
    '\ufeff',
    '\uf600',
    '\uf6e9',
    '\ufdd0',
    '\ufdea',
    '\ue000',
    '\u0083',
    '\u009d',
    'FOO=bar',
    'if',
    'end',
  ],
)
const character = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...'\'"\\$`!=~-#%*?[]{}()<>|&;^@+,.:/ \n\t\rabn01') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
)
const anyText = fc.array(character, { maxLength: 12 }).map((parts) => parts.join(''))
const carriable = (text: string) => !text.includes('\0') && Buffer.from(text).toString() === text
const word = fc.oneof(awkward, anyText, fc.string({ unit: 'binary', maxLength: 8 })).filter(carriable)

function find(program: string): string | undefined {
  return ['/bin', '/usr/bin', '/usr/local/bin']
    .map((place) => join(place, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

for (const shell of ['bash', 'dash', 'zsh', 'fish']) {
  const path = find(shell)
  test(
    `every argument arrives unchanged through ${shell} as the login shell`,
    path ? {} : { skip: `no ${shell}` },
    async (t) => {
      const place = mkdtempSync(join(tmpdir(), 'quote-'))
      t.teardown(() => rmSync(place, { recursive: true }))
      const show = join(place, 'show')
      writeFileSync(show, '#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n', { mode: 0o755 })
      for (const locale of ['C.UTF-8', 'C']) {
        const env = { HOME: place, PATH: '/usr/bin:/bin', LC_ALL: locale }
        const arrives = async (argv: readonly string[]) => {
          const line = commandLine({ argv: [show, ...argv] }, 'none')
          const { stdout } = await run(path ?? '', ['-c', line], { cwd: place, env, encoding: 'buffer' })
          return stdout.toString('utf8') === argv.map((one) => `${one}\0`).join('')
        }
        const property = fc.asyncProperty(fc.array(word, { minLength: 20, maxLength: 40 }), arrives)
        await fc.assert(property, { numRuns: 60 })
        t.pass(locale)
      }
    },
  )
}

test('a word that no shell touches is left readable', async (t) => {
  for (const plain of ['nix-daemon', '--stdio', '/nix/store/abc-x.drv', 'user@host', '--option=1', 'a:b,c+d'])
    t.equal(quote(plain), plain)
  t.equal(quote(''), "''")
  t.equal(quote('FOO=bar'), "'FOO=bar'")
  t.equal(quote("it's"), `'it'"'"'s'`)
})

test('an argument with a NUL is refused, for no shell could carry it', async (t) => {
  t.throws(() => quote('a\0b'), RangeError)
})

test('elevation goes in front of the command, never around it', async (t) => {
  const command = { argv: ['nix-daemon', '--stdio'], asRoot: true }
  t.equal(commandLine(command, 'passwordless'), 'sudo -n -- nix-daemon --stdio')
  t.equal(commandLine(command, 'none'), 'nix-daemon --stdio')
  t.equal(commandLine(command, 'doas'), 'doas -n -- nix-daemon --stdio')
  t.same(elevate({ argv: ['id', '-u'] }, 'passwordless'), ['id', '-u'])
})

test('a command is named on one short line in messages', async (t) => {
  t.equal(brief(['sh', '-c', 'a\nb']), "'sh -c a b'")
  t.equal(brief(['x'.repeat(200)]).length, 62)
})

import { ok, strictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { quoteString } from '../../lib/nix/expression.ts'
import { parseToplevels, toplevelsOf } from '../../lib/nix/toplevels.ts'

/** What Nix makes of a string literal (its lexer): `\n \r \t` are control characters, a backslash quotes the rest. */
function readString(literal: string): string {
  ok(/^"([^"\\]|\\.)*"$/s.test(literal), literal)
  ok(!literal.replace(/\\./gs, '').includes('${'), literal)
  const meanings: Record<string, string> = { n: '\n', r: '\r', t: '\t' }
  return literal.slice(1, -1).replace(/\\(.)/gs, (_, character: string) => meanings[character] ?? character)
}

t.test('any text survives being quoted, on one line', async (t) => {
  const odd = fc.string({
    unit: fc.constantFrom('"', '\\', '$', '{', '}', "'", '\n', '\r', '\t', 'n', 'a', ' ', 'ü', '\u001e'),
  })
  fc.assert(
    fc.property(fc.oneof(odd, fc.string({ unit: 'grapheme' })), (text) => {
      fc.pre(!text.includes('\0'))
      const literal = quoteString(text)
      strictEqual(readString(literal), text)
      ok(!/[\n\r]/.test(literal))
    }),
  )
  t.throws(() => quoteString('a\0b'), { message: 'a Nix string cannot contain a NUL character' })
})

t.test('one question asks for the toplevels of several configurations, and leaves out what is missing', async (t) => {
  t.equal(
    toplevelsOf(['dave', 'a"b', 'dave']),
    `cs: {
  names = builtins.attrNames cs;
  found = builtins.mapAttrs (name: _: {
    derivation = cs.\${name}.config.system.build.toplevel.drvPath;
    output = cs.\${name}.config.system.build.toplevel.outPath or "";
    system = cs.\${name}.pkgs.stdenv.hostPlatform.system or (
      cs.\${name}.config.nixpkgs.hostPlatform.system or cs.\${name}.config.system.build.toplevel.system
    );
  }) (builtins.intersectAttrs {
    "dave" = null;
    "a\\"b" = null;
  } cs);
}`,
  )
})

t.test('the answer is believed only when it names derivations', async (t) => {
  const derivation = `/nix/store/${'0'.repeat(32)}-nixos-system-dave.drv`
  const answer = (path: string, output?: string) =>
    JSON.stringify({ names: ['dave'], found: { dave: { derivation: path, output, system: 's' } } })
  const output = derivation.replace(/\.drv$/, '')
  t.strictSame(parseToplevels(answer(derivation, output)), {
    names: ['dave'],
    found: new Map([['dave', { derivation, output, system: 's' }]]),
  })
  const placeholder = '/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9'
  for (const unknown of [placeholder, '', undefined])
    t.equal(parseToplevels(answer(derivation, unknown)).found.get('dave')?.output, undefined)
  t.throws(() => parseToplevels(answer('/nix/store/x')), { message: /^not a store path/ })
})

/** The question that an evaluation asks of `nixosConfigurations`, and its answer. */
import { quoteString } from './expression.ts'
import { type DerivationPath, parseDerivationPath, parseStorePath, type StorePath } from './store-path.ts'

export interface Toplevel {
  readonly derivation: DerivationPath
  /** What it builds, where that is known before it is built: not of a content-addressed one. */
  readonly output: StorePath | undefined
  /** The host platform (`aarch64-linux`), not where it is built. */
  readonly system: string
}

export interface Toplevels {
  /** Every configuration that the flake has. */
  readonly names: readonly string[]
  /** Those asked for that exist. */
  readonly found: ReadonlyMap<string, Toplevel>
}

/** By name, which is then in the trace of what goes wrong. */
const asked = `cs.\${name}`

/**
 * A function of `nixosConfigurations` for `nix eval --apply`: derivation and system of the toplevels of these
 * configurations. Names that don't exist are left out; nothing else of the flake is evaluated. In lines, as Nix shows
 * the ones that an error passed through; a short one for each name, since all of it is one argument of a program.
 */
export function toplevelsOf(configurations: readonly string[]): string {
  return [
    'cs: {',
    '  names = builtins.attrNames cs;',
    '  found = builtins.mapAttrs (name: _: {',
    `    derivation = ${asked}.config.system.build.toplevel.drvPath;`,
    `    output = ${asked}.config.system.build.toplevel.outPath or "";`,
    `    system = ${asked}.pkgs.stdenv.hostPlatform.system or (`,
    `      ${asked}.config.nixpkgs.hostPlatform.system or ${asked}.config.system.build.toplevel.system`,
    '    );',
    '  }) (builtins.intersectAttrs {',
    ...[...new Set(configurations)].map((name) => `    ${quoteString(name)} = null;`),
    '  } cs);',
    '}',
  ].join('\n')
}

/** The answer, as JSON. Throws when it is something else. */
export function parseToplevels(json: string): Toplevels {
  const answer = JSON.parse(json) as {
    names: string[]
    found: Record<string, { derivation: string; output?: string; system: string }>
  }
  const found = Object.entries(answer.found).map(
    ([name, { derivation, output = '', system }]) =>
      [name, { derivation: parseDerivationPath(derivation), output: knownOutput(output), system }] as const,
  )
  return { names: answer.names, found: new Map(found) }
}

/** Nix names what it doesn't know yet by a placeholder, which is no path of the store. */
const knownOutput = (output: string): StorePath | undefined =>
  output.startsWith('/nix/store/') ? parseStorePath(output) : undefined

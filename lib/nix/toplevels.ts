/** The question that an evaluation asks of `nixosConfigurations`, and its answer. */
import { quoteString } from './expression.ts'
import { type DerivationPath, parseDerivationPath } from './store-path.ts'

export interface Toplevel {
  readonly derivation: DerivationPath
  /** The host platform (`aarch64-linux`), not where it is built. */
  readonly system: string
}

export interface Toplevels {
  /** Every configuration that the flake has. */
  readonly names: readonly string[]
  /** Those asked for that exist. */
  readonly found: ReadonlyMap<string, Toplevel>
}

/**
 * A function of `nixosConfigurations` for `nix eval --apply`: derivation and system of the toplevels of these
 * configurations. Names that don't exist are left out; nothing else of the flake is evaluated. In lines, as Nix shows
 * the ones that an error passed through.
 */
export function toplevelsOf(configurations: readonly string[]): string {
  return [
    'cs: {',
    '  names = builtins.attrNames cs;',
    '  found = builtins.intersectAttrs cs {',
    ...[...new Set(configurations)]
      .map(quoteString)
      .flatMap((name) => [
        `    ${name} = {`,
        `      derivation = cs.${name}.config.system.build.toplevel.drvPath;`,
        `      system = cs.${name}.pkgs.stdenv.hostPlatform.system or (`,
        `        cs.${name}.config.nixpkgs.hostPlatform.system or cs.${name}.config.system.build.toplevel.system`,
        '      );',
        '    };',
      ]),
    '  };',
    '}',
  ].join('\n')
}

/** The answer, as JSON. Throws when it is something else. */
export function parseToplevels(json: string): Toplevels {
  const answer = JSON.parse(json) as { names: string[]; found: Record<string, { derivation: string; system: string }> }
  const found = Object.entries(answer.found).map(
    ([name, { derivation, system }]) => [name, { derivation: parseDerivationPath(derivation), system }] as const,
  )
  return { names: answer.names, found: new Map(found) }
}

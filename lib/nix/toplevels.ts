/** The question that an evaluation asks of `nixosConfigurations`, and its answer. */
import { quoteStrings } from './expression.ts'
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
 * A function of `nixosConfigurations`, on one line, for `nix eval --apply`: derivation and system of the toplevels of
 * these configurations. Names that don't exist are left out; nothing else of the flake is evaluated.
 */
export function toplevelsOf(configurations: readonly string[]): string {
  const toplevel = 'c.config.system.build.toplevel'
  const system = `c.pkgs.stdenv.hostPlatform.system or (c.config.nixpkgs.hostPlatform.system or ${toplevel}.system)`
  const one = `{ inherit name; value = let c = cs.\${name}; in { derivation = ${toplevel}.drvPath; system = ${system}; }; }`
  const wanted = `builtins.filter (name: cs ? \${name}) ${quoteStrings(configurations)}`
  return `cs: { names = builtins.attrNames cs; found = builtins.listToAttrs (map (name: ${one}) (${wanted})); }`
}

/** The answer, as JSON. Throws when it is something else. */
export function parseToplevels(json: string): Toplevels {
  const answer = JSON.parse(json) as { names: string[]; found: Record<string, { derivation: string; system: string }> }
  const found = Object.entries(answer.found).map(
    ([name, { derivation, system }]) => [name, { derivation: parseDerivationPath(derivation), system }] as const,
  )
  return { names: answer.names, found: new Map(found) }
}

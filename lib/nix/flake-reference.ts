/** Flake references: is it something on the control machine, or does the evaluator fetch it? */

export type FlakeReference =
  /** on the control machine: shipped */
  | {
      readonly kind: 'local'
      readonly directory: string
      /** `path:` was written: everything in the directory, even when it is a git repository */
      readonly plain: boolean
      /** the directory of the flake below that one, if it was named */
      readonly subdirectory: string
      /** of `?submodules=1` and so on: what is left to tell Nix */
      readonly parameters: ReadonlyMap<string, string>
    }
  /** anything else, passed on as it is */
  | { readonly kind: 'remote'; readonly reference: string }

/** As `nix` reads it: a path starts with a slash or a dot, everything without one is a URL or a name of the registry. */
export function parseFlakeReference(text: string): FlakeReference {
  const match = /^(?:(path|git\+file):(?:\/\/(?=\/))?)?([^?#]*)(?:\?([^#]*))?$/.exec(text)
  const [, scheme, encoded = '', query = ''] = match ?? []
  const isPath = /^(\/|\.{1,2}(\/|$))/.test(encoded)
  if (!match || (scheme === undefined && !isPath)) return { kind: 'remote', reference: text }
  const parameters = new Map(new URLSearchParams(query))
  const subdirectory = parameters.get('dir') ?? ''
  parameters.delete('dir')
  const directory = scheme === undefined ? encoded : decodeURIComponent(encoded)
  return { kind: 'local', directory, plain: scheme === 'path', subdirectory, parameters }
}

/** `?dir=hosts%20a&submodules=1`, or nothing. */
export function flakeQuery(parameters: Iterable<readonly [string, string]>): string {
  const parts = [...parameters].map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll('%2F', '/')}`)
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

/** `deploy completion`: for the shell's tab key. */
import { readInventoryAt } from './chosen-hosts.ts'
import { type Verb, verb } from './verb.ts'

// bash, and zsh by its bashcompinit. Names come from the inventory at the moment of the tab key.
const script = `if [ -n "\${ZSH_VERSION-}" ]; then autoload -U +X bashcompinit && bashcompinit; fi
_deploy() {
  COMPREPLY=($(compgen -W "$(deploy completion --names 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _deploy deploy
`

/** `verbs`: what can be completed first. */
export const completionOf = (verbs: () => readonly Verb[]) =>
  verb({
    name: 'completion',
    words: '',
    summary: 'print a script for bash and zsh that completes verbs, hosts and tags',
    examples: [['$0 completion >> ~/.bashrc', '']],
    options: { names: { type: 'boolean', describe: 'print what can be completed, one a line' } } as const,
    async run(given, machine) {
      const { out } = machine.terminal
      if (!given.names) {
        out.write(script)
        return 0
      }
      const { keyActions } = await import('./keys.ts')
      const inventory = await readInventoryAt(undefined, machine).catch(() => undefined)
      const hosts = [...(inventory?.hosts.values() ?? [])]
      const tags = new Set(hosts.flatMap((host) => host.tags.map((tag) => `@${tag}`)))
      const names = [...verbs().map(({ name }) => name), ...keyActions, ...hosts.map(({ name }) => name), ...tags]
      out.print(names.filter((name) => name !== '').map((name) => [name]))
      return 0
    },
  })

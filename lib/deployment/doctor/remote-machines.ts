/** The remote builders that a machine's own daemon has (nix.conf(5), builders). */
import type { MachineFacts } from './examine.ts'

/** The words of each machine's line: the URI first, then its systems. */
export function remoteMachines({ settings, machineFile }: Pick<MachineFacts, 'settings' | 'machineFile'>): string[][] {
  const builders = settings.get('builders') ?? ''
  const listed = builders.startsWith('@') ? machineFile : builders.split(/[;\n]/)
  return listed
    .map((line) => words(line.replace(/#.*/, '')))
    .filter(([uri]) => uri !== undefined && !uri.startsWith('@'))
}

export const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '')

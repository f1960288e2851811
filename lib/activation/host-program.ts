/** The program that does the transaction on the host (lib/activation/host/*.sh), and how it gets there. */
import type { Command } from '../machine/command.ts'
import { quotePosix } from '../machine/command.ts'

/** The parts put together, in the order of their names. Read from the package by the edge. */
export type HostProgram = string & { readonly program: unique symbol }

export const hostProgram = (parts: ReadonlyMap<string, string>): HostProgram =>
  [...parts.keys()]
    .sort()
    .map((name) => parts.get(name))
    .join('\n') as HostProgram

/** Runs one verb of the program, which is given on standard input: nothing is written on the host. */
export const verbCommand = (verb: string, ...args: readonly string[]): Command => ({
  argv: ['/bin/sh', '-s', '--', verb, ...args],
  asRoot: true,
})

/**
 * What `sh -s` reads to begin a deployment: the request and the program are put into the deployment's own directory,
 * which only root can enter, because the supervisor and its guard run from there.
 */
export function beginInput(
  program: HostProgram,
  id: string,
  request: Readonly<Record<string, string | number>>,
  verb: 'begin' | 'clean' = 'begin',
): string {
  const end = `end of file ${id}`
  if (program.includes(end)) throw new RangeError('the deployment id occurs in the host program')
  const assignments = Object.entries(request).map(([name, value]) => `${name}=${quotePosix(String(value))}`)
  const here = `/run/deploy/${id}`
  return [
    'umask 022',
    `mkdir -p /run/deploy && chmod 700 /run/deploy && mkdir ${here} || exit 73`,
    // Somebody asked for it meanwhile, and was told that it never began.
    `[ ! -e /run/deploy/.void-${id} ] || { rmdir ${here}; exit 74; }`,
    `cat > ${here}/request <<'${end}' || { rm -rf ${here}; exit 73; }`,
    ...assignments,
    end,
    `cat > ${here}/program <<'${end}' || { rm -rf ${here}; exit 73; }`,
    program,
    end,
    `exec /bin/sh ${here}/program ${verb} ${id}`,
    '',
  ].join('\n')
}

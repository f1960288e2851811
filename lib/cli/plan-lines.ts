/** What a deployment would do, in words. */
import type { Plan } from '../deployment/build.ts'
import { formatBytes } from '../format.ts'
import { Problem } from '../problem.ts'
import { careful, type Line, quiet } from '../screen/line.ts'
import { problemData } from './problem-lines.ts'
import type { Room } from './room.ts'
import { shortSystem } from './short-system.ts'

const shownPaths = 10

export function planLines(name: string, plan: Plan, room: Room): Line[] {
  const { toBuild, toFetch, downloadBytes, state } = plan
  const fetches =
    toFetch.length === 0 ? 'nothing to fetch' : `${toFetch.length} to fetch (${formatBytes(downloadBytes)})`
  const builds = toBuild.length === 0 ? 'nothing to build' : `${toBuild.length} to build`
  const limit = room.verbose ? Number.POSITIVE_INFINITY : shownPaths
  const hidden = toBuild.length - Math.min(toBuild.length, limit)
  return [
    [`· ${name}  ${builds}, ${fetches}`],
    ['    would deploy  ', shortSystem(plan.derivation).replace(/\.drv$/, '')],
    state instanceof Problem
      ? ['    ', careful('runs unknown  '), state.message]
      : ['    runs now      ', shortSystem(state.running), quiet(`  generation ${state.generation ?? 'unknown'}`)],
    ...toBuild.slice(0, limit).map((path): Line => [quiet('    build '), shortSystem(path)]),
    ...(hidden > 0 ? [[quiet(`    … ${hidden} more; -v shows them`)]] : []),
  ]
}

export const planData = ({ host: _, state, ...rest }: Plan) => ({
  ...rest,
  state: state instanceof Problem ? null : state,
  problem: state instanceof Problem ? problemData(state) : null,
})

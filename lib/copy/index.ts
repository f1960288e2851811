/** The ways for a closure to get to a host, by the name they have in hosts.yaml. */
import { Problem } from '../problem.ts'
import type { CopyStrategy } from './copy.ts'
import { relay } from './relay.ts'

const strategies: Readonly<Record<string, CopyStrategy>> = {
  relay,
}

/** Throws a Problem of kind `usage` when there is none of that name. */
export function copyStrategy(name: string): CopyStrategy {
  const strategy = Object.hasOwn(strategies, name) ? strategies[name] : undefined
  if (strategy) return strategy
  throw new Problem(`copying by ${name} is not possible`, {
    kind: 'usage',
    hints: [`possible is: ${Object.keys(strategies).join(', ')}`],
  })
}

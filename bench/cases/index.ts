/** All benchmarks, in their order. */
import type { Case } from '../case.ts'
import { changed } from './changed.ts'
import { deltaHashes } from './delta.ts'
import { first } from './first.ts'
import { large } from './large.ts'
import { packages300, packages60 } from './real-packages.ts'
import { smallPaths } from './small-paths.ts'
import { start } from './start.ts'
import { unchanged } from './unchanged.ts'

export const cases: readonly Case[] = [
  start,
  unchanged,
  changed,
  first,
  smallPaths,
  packages60,
  packages300,
  large,
  deltaHashes,
]

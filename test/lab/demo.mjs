/** `npm run demo`: the main job on the lab, from nothing. */

import { ensureNodePackages } from '../runner/node-packages.mjs'
import { repository } from './paths.mjs'
import { ensureRequirements, up, whyNoLab } from './lab.mjs'

const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)

ensureRequirements(say)
const reason = whyNoLab()
if (reason === undefined && ensureNodePackages(repository, say)) {
  await up(['forge', 'dave', 'control'], { say })
  // the story goes here
} else {
  if (reason !== undefined) say(reason)
  process.exitCode = 1
}

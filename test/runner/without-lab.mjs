/** Loaded before a scenario where there is no lab: nothing is set up for tests that are all skipped. */

import { Before } from '@tapjs/before'

Before.prototype.before = () => undefined

/**
 * Reads TAP as tap's `tap` reporter writes it: a file at the left margin, its tests four spaces in, their assertions
 * deeper. What is counted are the tests, for they have names that say what works.
 */

/** Only what takes long is worth a word. @param {string} time as in `1234.5ms` */
function duration(time) {
  const seconds = Number.parseFloat(time) / 1000
  return seconds < 1 ? '' : ` (${seconds.toFixed(1)} s)`
}

/**
 * @param {(text: string) => void} say  gets a line for each test, and everything that is known about one that failed
 * @param {{ comments?: boolean }} [options] `comments`: and what tests say of themselves
 */
export function makeTally(say, { comments = false } = {}) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  /** @type {string[]} */
  let block = []
  let assertions = { skipped: 0, other: 0 }
  let failedInFile = 0
  /** @type {string | undefined} */
  let diagnostics
  let showDiagnostics = false

  /** @param {string} line one point four spaces in */
  function test(line) {
    const [, not, name = ''] = /^ {4}(not )?ok \d+ - (.*)$/.exec(line) ?? []
    const [, sentence = '', directive, reason = ''] = /^(.*?)(?: # (SKIP|TODO|time=)(.*))?$/.exec(name) ?? []
    const onlySkips = assertions.skipped > 0 && assertions.other === 0
    if (directive === 'SKIP' || directive === 'TODO' || (onlySkips && !not)) {
      counts.skipped++
      say(`  - ${sentence}${reason && directive === 'SKIP' ? ` (${reason.trim()})` : ''}`)
    } else if (not) {
      counts.failed++
      failedInFile++
      showDiagnostics = true
      say(`  ✗ ${sentence}\n${block.join('\n')}`)
    } else {
      counts.passed++
      say(`  ✓ ${sentence}${directive === 'time=' ? duration(reason) : ''}`)
    }
    block = []
    assertions = { skipped: 0, other: 0 }
  }

  /** @param {string} line one point at the margin */
  function file(line) {
    const [, not, name = ''] = /^(not )?ok \d+ - (.*?)(?: # .*)?$/.exec(line) ?? []
    if (not && failedInFile === 0) {
      counts.failed++
      showDiagnostics = true
      say(`  ✗ ${name}: failed outside its tests\n${block.join('\n')}`)
    }
    failedInFile = 0
    block = []
  }

  /** @param {string} line */
  function read(line) {
    if (diagnostics !== undefined) {
      if (showDiagnostics) say(line)
      else block.push(line)
      if (line === `${diagnostics}...`) diagnostics = undefined
      return
    }
    const begins = /^( +)---$/.exec(line)
    if (begins) {
      diagnostics = begins[1]
      if (showDiagnostics) say(line)
      else block.push(line)
      return
    }
    showDiagnostics = false
    if (/^# Subtest: /.test(line)) say(line.slice('# Subtest: '.length))
    else if (/^(not )?ok \d+ - /.test(line)) file(line)
    else if (/^ {4}(not )?ok \d+ - /.test(line)) test(line)
    else {
      if (/^ {8,}(not )?ok \d+ /.test(line)) assertions[/ # SKIP/.test(line) ? 'skipped' : 'other']++
      if (line.trim() !== '') block.push(line)
      const [, comment] = /^ {8}# (?!Subtest: )(.*)$/.exec(line) ?? []
      if (comments && comment !== undefined) say(`      ${comment}`)
    }
  }

  return { read, counts }
}

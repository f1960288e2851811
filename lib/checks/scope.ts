/** Work that leaves nothing behind. */

/**
 * Runs the work with a signal of its own, which is aborted as soon as the work is over: whatever was started beside it
 * ends with it. Rejects with the outer signal's reason as soon as that is aborted, even when the work doesn't heed it.
 */
export async function scoped<T>(outer: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  outer.throwIfAborted()
  const own = new AbortController()
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      own.abort(outer.reason)
      reject(outer.reason)
    }
  })
  outer.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work(own.signal), aborted])
  } finally {
    outer.removeEventListener('abort', abort)
    own.abort()
  }
}

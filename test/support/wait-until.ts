import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits for a condition, never for a time: asks again until `check` gives something other than undefined or false,
 * and rejects with what was waited for when the limit is reached.
 */
export async function waitUntil<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  { limitMs = 10_000, everyMs = 20 }: { readonly limitMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await delay(everyMs);
  }
}

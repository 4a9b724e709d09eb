const mostListed = 4;

/** `a, b and c`; what is beyond four is counted, so that a message has a bound. */
export function listed(words: readonly string[]): string {
  const more = words.length - mostListed;
  const shown = more > 0 ? [...words.slice(0, mostListed), `${more} more`] : [...words];
  const last = shown.pop() ?? '';
  return shown.length === 0 ? last : `${shown.join(', ')} and ${last}`;
}

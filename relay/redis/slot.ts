/** Hash slots of a Redis Cluster, and tags that spread over them evenly. */

export const slots = 16_384;

/** CRC-16/XMODEM, modulo the number of slots, of what stands between the first braces. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  let crc = 0;
  for (const byte of Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc % slots;
}

/** A hash tag whose slot lies in the `part`-th of `parts` equal ranges: nodes of a Cluster own ranges, so that each gets its share. */
export function tagOf(part: number, parts: number): string {
  for (let attempt = 0; ; attempt += 1) {
    const tag = `${part}.${attempt}`;
    if (Math.floor((slotOf(tag) * parts) / slots) === part) return tag;
  }
}

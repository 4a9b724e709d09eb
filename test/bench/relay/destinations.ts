/** Many next hops that are one sink: each destination has a loopback address of its own. */

/** `d3x17.bench.test` is at 127.1.3.17. */
export function destinationName(index: number): string {
  return `d${index >> 8}x${index & 255}.bench.test`;
}

export function destinationAddress(name: string): string | undefined {
  const match = /^d(\d+)x(\d+)\.bench\.test$/i.exec(name);
  return match === null ? undefined : `127.1.${match[1]}.${match[2]}`;
}

/** The same for Postfix: a texthash: table for transport_maps. */
export function transportTable(destinations: number, port: number): string {
  const names = Array.from({ length: destinations }, (_, index) => destinationName(index));
  return names.map(name => `${name} smtp:[${destinationAddress(name)}]:${port}\n`).join('');
}

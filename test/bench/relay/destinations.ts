/** Many next hops that are one sink: each destination has a loopback address of its own. */

/** `d3x17.bench.test` is at 127.1.3.17. */
export function destinationName(index: number): string {
  return `d${index >> 8}x${index & 255}.bench.test`;
}

export function destinationAddress(name: string): string | undefined {
  const match = /^d(\d+)x(\d+)\.bench\.test$/i.exec(name);
  return match === null ? undefined : `127.1.${match[1]}.${match[2]}`;
}

/** The same for Postfix: a regexp: table for transport_maps. */
export function transportTable(port: number): string {
  return `/@d([0-9]+)x([0-9]+)\\.bench\\.test$/ smtp:[127.1.$1.$2]:${port}\n`;
}

import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** A network of the configuration (`10.1.0.0/16`, `fd00::/8`, or one address) that an address can be looked up in. */
export interface Network {
  /** As the configuration writes it. */
  readonly text: string;
  readonly prefixLength: number;
  contains(address: string): boolean;
}

/** Undefined when it is neither an address nor CIDR notation. */
export function parseNetwork(text: string): Network | undefined {
  const [address, prefix, ...rest] = text.trim().split('/');
  const family = familyOf(address ?? '');
  if (address === undefined || family === undefined || rest.length > 0) return undefined;
  const longest = family === 'ipv4' ? 32 : 128;
  if (prefix !== undefined && !/^[0-9]{1,3}$/.test(prefix)) return undefined;
  const prefixLength = prefix === undefined ? longest : Number(prefix);
  if (prefixLength > longest) return undefined;
  const list = new BlockList();
  list.addSubnet(address, prefixLength, family);
  return { text, prefixLength, contains: candidate => contains(list, family, candidate) };
}

/** A dual-stack socket names IPv4 peers `::ffff:192.0.2.1` (RFC 4291 s2.5.5.2); a link-local peer carries its zone after `%`. */
export function plainAddress(address: string): string {
  const withoutZone = address.split('%')[0] ?? '';
  const mapped = /^::ffff:([0-9.]+)$/i.exec(withoutZone)?.[1];
  return mapped !== undefined && isIPv4(mapped) ? mapped : withoutZone;
}

/**
 * The families are kept apart on purpose: BlockList would let an IPv4 address match an IPv6 network that holds the mapped
 * range, so that `::/0`, meant for IPv6 clients, let every IPv4 client in.
 */
function contains(list: BlockList, family: 'ipv4' | 'ipv6', candidate: string): boolean {
  const address = plainAddress(candidate);
  return familyOf(address) === family && list.check(address, family);
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  if (isIPv4(address)) return 'ipv4';
  return isIPv6(address) && !address.includes('%') ? 'ipv6' : undefined;
}

/**
 * Addresses that name servers of a domain may have. Whoever may write a DomainPolicy chooses the domain, and its owner the addresses of
 * its name servers: without this, the operator could be made to knock at port 53 of its own pod, of its node, or of the metadata service of
 * a cloud. Private ranges (RFC 1918, RFC 4193) are asked: zones that only the inside knows live there.
 */
import { BlockList, isIPv6 } from 'node:net';

const refused = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  // With the broadcast address.
  ['240.0.0.0', 4],
] as const)
  refused.addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of [
  // Unspecified, loopback, and IPv4-compatible addresses (RFC 4291 s2.5.5.1). A mapped one is checked as what it maps.
  ['::', 96],
  ['fe80::', 10],
  ['ff00::', 8],
  // RFC 6052: a translator may be on the node.
  ['64:ff9b::', 104],
  ['64:ff9b::7f00:0', 104],
  ['64:ff9b::a9fe:0', 112],
  ['64:ff9b::e000:0', 99],
] as const)
  refused.addSubnet(net, prefix, 'ipv6');

export function isRoutable(address: string): boolean {
  return !refused.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** Networks and addresses in the API. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { type Pattern, type Rule, type Schema, string } from './schema.ts';

const hostPort: Pattern = {
  regex: '^([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F:.]+\\]):[1-9][0-9]{0,4}$',
  means: 'an address and a port, such as 192.0.2.53:53 or [2001:db8::53]:53',
};

/** Wide enough for any private network, too narrow to mean "everybody". */
const shortestPrefix = 8;

const cidrRules: readonly Rule<string>[] = [
  {
    rule: `isCIDR(self) && cidr(self).prefixLength() >= ${shortestPrefix}`,
    message: `must be a network such as 192.0.2.0/24 or 2001:db8::/32, its prefix length ${shortestPrefix} or more`,
    check: self => (prefixLengthOf(self) ?? 0) >= shortestPrefix,
  },
];

export function cidrField(description: string): Schema<string> {
  return string(description, { maxLength: 50, rules: cidrRules });
}

/** `undefined` when it is no network. IPv4 in an IPv6 coat is refused, as the API server does: it would match no client. */
export function prefixLengthOf(cidr: string): number | undefined {
  const parts = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(cidr);
  const [, address = '', digits = ''] = parts ?? [];
  const length = Number(digits);
  if (isIPv4(address)) return length <= 32 ? length : undefined;
  return isPlainIPv6(address) && length <= 128 ? length : undefined;
}

function isPlainIPv6(address: string): boolean {
  return isIPv6(address) && !address.includes('%') && !mappedIPv4.check(address, 'ipv6');
}

const mappedIPv4 = new BlockList();
mappedIPv4.addSubnet('::ffff:0:0', 96, 'ipv6');

const nameserverRules: readonly Rule<string>[] = [
  {
    rule: "isIP(self.substring(0, self.lastIndexOf(':')).replace('[', '').replace(']', '')) && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",
    message: 'must be an IP address and a port of 65535 or less, such as 192.0.2.53:53',
    check(self) {
      const colon = self.lastIndexOf(':');
      const address = self.slice(0, colon).replace('[', '').replace(']', '');
      return (isIPv4(address) || isPlainIPv6(address)) && Number(self.slice(colon + 1)) <= 65_535;
    },
  },
];

export function nameserver(description: string): Schema<string> {
  return string(description, { maxLength: 60, pattern: hostPort, rules: nameserverRules });
}

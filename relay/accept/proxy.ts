/** The PROXY protocol's header, versions 1 and 2 (HAProxy's proxy-protocol.txt): who the client is that a load balancer stands in for. */
import { isIPv4, isIPv6 } from 'node:net';

export interface ProxyHeader {
  /** Bytes of the header; what follows is the client's. */
  readonly length: number;
  /** Undefined: the proxy speaks for itself (LOCAL, UNKNOWN), so the connection's own address holds. */
  readonly source: { readonly address: string; readonly port: number } | undefined;
}

/** Section 2.1: the longest version 1 line. */
const maxV1Bytes = 107;
const v2Signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const v2FixedBytes = 16;
/** Addresses and TLVs; a header may claim 65,535, but none that is used comes near this. */
const maxV2Bytes = 4096;
const v1Signature = Buffer.from('PROXY ');

/** `Incomplete` is never said of more than 4112 bytes, which bounds what a reader keeps. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | 'Incomplete' | 'Invalid' {
  if (startsLike(bytes, v2Signature)) return bytes.length < v2FixedBytes ? 'Incomplete' : parseV2(bytes);
  if (startsLike(bytes, v1Signature)) return parseV1(bytes);
  return 'Invalid';
}

/** As far as both reach. */
function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.subarray(0, length).equals(signature.subarray(0, length));
}

/** Section 2.1: `PROXY TCP4 source destination sourcePort destinationPort`. */
function parseV1(bytes: Buffer): ProxyHeader | 'Incomplete' | 'Invalid' {
  const end = bytes.subarray(0, maxV1Bytes).indexOf('\r\n');
  if (end === -1) return bytes.length < maxV1Bytes ? 'Incomplete' : 'Invalid';
  const [, family, ...rest] = bytes.toString('latin1', 0, end).split(' ');
  const length = end + 2;
  if (family === 'UNKNOWN') return { length, source: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  const [address, destination, port, destinationPort] = rest;
  if ((family !== 'TCP4' && family !== 'TCP6') || rest.length !== 4) return 'Invalid';
  if (address === undefined || destination === undefined) return 'Invalid';
  if (!isAddress(address) || !isAddress(destination)) return 'Invalid';
  if (!isPort(port) || !isPort(destinationPort)) return 'Invalid';
  return { length, source: { address, port: Number(port) } };
}

function isPort(text: string | undefined): boolean {
  return text !== undefined && /^(?:0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65_535;
}

/** Section 2.2: signature, version and command, family, length, addresses, TLVs. */
function parseV2(bytes: Buffer): ProxyHeader | 'Incomplete' | 'Invalid' {
  const version = bytes.readUInt8(12) >> 4;
  const command = bytes.readUInt8(12) & 0xf;
  const family = bytes.readUInt8(13);
  const addressBytes = bytes.readUInt16BE(14);
  const length = v2FixedBytes + addressBytes;
  if (version !== 2 || command > 1 || addressBytes > maxV2Bytes) return 'Invalid';
  if (bytes.length < length) return 'Incomplete';
  // LOCAL: the proxy's own connection, a health check for instance.
  if (command === 0) return { length, source: undefined };
  return v2Source(bytes.subarray(v2FixedBytes, length), family, length);
}

function v2Source(block: Buffer, family: number, length: number): ProxyHeader | 'Invalid' {
  if (family === 0x11 && block.length >= 12) {
    return { length, source: { address: [...block.subarray(0, 4)].join('.'), port: block.readUInt16BE(8) } };
  }
  if (family === 0x21 && block.length >= 36) {
    return { length, source: { address: ipv6(block.subarray(0, 16)), port: block.readUInt16BE(32) } };
  }
  // UNSPEC keeps the connection's address; any other family cannot carry SMTP.
  return family === 0 ? { length, source: undefined } : 'Invalid';
}

function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return groups.join(':');
}

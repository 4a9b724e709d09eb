/** A mailbox in a reverse-path or forward-path (RFC 5321 s4.1.2, RFC 6531 s3.3). `null` stands for the null reverse-path. */
export interface Path {
  /** As the peer wrote it, without angle brackets: what is sent onward, byte for byte. */
  readonly text: string;
  /** Unquoted local-part; case is significant (RFC 5321 s2.4). */
  readonly localPart: string;
  /** Lower case, A-labels (RFC 5890), no trailing dot; an address literal keeps its brackets. */
  readonly domain: string;
}

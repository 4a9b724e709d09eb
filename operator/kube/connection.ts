/** Where the API server is, and what a request shows to prove who it is. */

export interface TlsMaterial {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
}

export interface Connection {
  /** Such as `https://10.96.0.1:443`. */
  readonly server: string;
  /** The namespace that is ours by default, where one is known. */
  readonly namespace: string | undefined;
  /** Reads them anew: tokens and certificates change while we run. The client asks at most once a minute, and after a 401. */
  credentials(): Promise<Credentials>;
}

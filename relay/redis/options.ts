/** Where a Redis (or Valkey) is and how to log in. Read anew for each connection, so that rotated secrets reach it. */

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface RedisCredentials {
  readonly username?: string;
  readonly password: string;
}

export interface RedisOptions {
  /** Single: one server. Sentinel: `addresses` are Sentinels. Cluster: `addresses` are some of its nodes. */
  readonly type: 'Single' | 'Sentinel' | 'Cluster';
  readonly addresses: readonly RedisAddress[];
  readonly sentinel?: { readonly masterName: string; readonly credentials?: RedisCredentials };
  readonly credentials?: RedisCredentials;
  readonly tls?: {
    /** The certificate must be valid for its host. */
    readonly verified: boolean;
    /** PEM; instead of the system's authorities. */
    readonly ca?: string;
  };
  readonly database: number;
}

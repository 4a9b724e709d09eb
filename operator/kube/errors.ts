/** How a conversation with the API server goes wrong, told apart by `code` and, for its refusals, by status and reason. */

/** Kubernetes' own `Status`, as far as it is used. */
export interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  };
}

/** The server's words can be long, and go to a log. */
const longestMessage = 1000;

/** The API server refused. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code = 'KUBE_API';
  readonly status: number;
  /** Kubernetes' word for it: NotFound, Conflict, Expired, … */
  readonly reason: string;
  /** How long it asks to be left alone. */
  readonly retryAfterMs: number | undefined;
  /** Fields that another manager owns, when an apply without force ran into them. */
  readonly conflicts: readonly string[];

  constructor(what: string, status: Status & { readonly code: number }, retryAfterMs?: number) {
    const reason = status.reason ?? 'Unknown';
    super(`${what}: ${status.code} ${reason}: ${status.message ?? ''}`.slice(0, longestMessage));
    this.status = status.code;
    this.reason = reason;
    const seconds = status.details?.retryAfterSeconds;
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000);
    const causes = status.details?.causes ?? [];
    this.conflicts = causes.filter(cause => cause.reason === 'FieldManagerConflict').map(cause => cause.field ?? '');
  }
}

export type ConnectionFault =
  /** No connection, or it broke. */
  | 'Unreachable'
  /** No answer in time. */
  | 'Timeout'
  /** An answer that is not what the API says: cut short, or no JSON. */
  | 'BadAnswer'
  /** An answer over the limit of what is read. */
  | 'TooLarge'
  /** A watch on which not even a bookmark came. */
  | 'Silent';

/** Nothing is known about what became of the request. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly code = 'KUBE_CONNECTION';
  readonly fault: ConnectionFault;

  constructor(what: string, fault: ConnectionFault, cause?: unknown) {
    const because = cause instanceof Error ? `: ${cause.message}` : '';
    super(`${what}: ${fault}${because}`.slice(0, longestMessage), cause === undefined ? {} : { cause });
    this.fault = fault;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

/** The resourceVersion or the page asked for is compacted away: only a new list helps. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 410 || error.reason === 'Expired');
}

/** A bounded word for a metric's label. */
export function faultOf(error: unknown): string {
  if (error instanceof ApiError) return String(error.status);
  return error instanceof ConnectionError ? error.fault : 'Other';
}

import { readFile } from 'node:fs/promises';

export interface AuditedRequest {
  /** get, list, watch, create, update, patch, delete, … */
  readonly verb: string;
  readonly uri: string;
  readonly user: string;
  readonly userAgent: string;
  /** Of the object, where one is named: `configmaps`, `mailrelays/status`. */
  readonly resource: string;
  readonly name: string;
  readonly code: number;
  /** By the server's clock: between these it took effect, if it did. */
  readonly receivedMs: number;
  readonly answeredMs: number;
}

/** Each request once, when it is answered, without bodies. */
export const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [{ level: 'Metadata' }],
};

interface Line {
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  readonly user?: { readonly username?: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

export async function readAuditLog(file: string): Promise<AuditedRequest[]> {
  const text = await readFile(file, 'utf8');
  // The last line may not be whole yet.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter(line => line !== '').map(line => requestOf(JSON.parse(line) as Line));
}

function requestOf(line: Line): AuditedRequest {
  const { verb, requestURI, userAgent = '', user, objectRef = {}, responseStatus } = line;
  const { resource = '', subresource, name = '' } = objectRef;
  return {
    ...{ verb, uri: requestURI, userAgent, name },
    user: user?.username ?? '',
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    code: responseStatus?.code ?? 0,
    receivedMs: Date.parse(line.requestReceivedTimestamp),
    answeredMs: Date.parse(line.stageTimestamp),
  };
}

const writing = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

export function isWrite({ verb }: AuditedRequest): boolean {
  return writing.has(verb);
}

export interface AuditFilter {
  readonly user?: string;
  readonly userAgent?: string;
  readonly verbs?: readonly string[];
  /** As in AuditedRequest. */
  readonly resource?: string;
  readonly name?: string;
  /** Only what was answered so: `403`, say. */
  readonly code?: number;
}

export function audited(all: readonly AuditedRequest[], { verbs, ...wanted }: AuditFilter): AuditedRequest[] {
  return all.filter(
    request =>
      (verbs === undefined || verbs.includes(request.verb)) &&
      Object.entries(wanted).every(([field, value]) => request[field as keyof AuditedRequest] === value),
  );
}

/**
 * Tables, and how older ones become them. A migration, once released, is never edited: a new one is added behind it.
 *
 * message    one row a message. Small columns first and blobs last, so that reading a row's front does not touch its content.
 *            `file` names a spool file when the content is too large for the row.
 * recipient  the unit of the queue, keyed by the message's id, which sorts by arrival: inserts and the first deletions meet on
 *            the same few pages, and lists are paged by it. Holds every column that a filter asks for, so that a scan never
 *            reads messages. Who leases it is known in memory only, since a lease dies with the process that holds it.
 * recipient_due  what claim reads. A message that is born leased and delivered at once never enters it.
 * totals     one row, updated in the same transaction as what it counts; `epoch` counts openings and is part of every lease's
 *            token, so that a token of a former life never fits a lease of this one.
 */
import type { DatabaseSync } from 'node:sqlite';
import { QueueStoreError } from './errors.ts';

const migrations: readonly string[] = [
  `
  CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    policy TEXT,
    received INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    sender TEXT NOT NULL,
    size INTEGER NOT NULL,
    file TEXT,
    head BLOB NOT NULL,
    content BLOB
  ) STRICT;
  CREATE INDEX message_file ON message (file) WHERE file IS NOT NULL;
  CREATE TABLE recipient (
    id TEXT NOT NULL,
    idx INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    received INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    delay_warned INTEGER NOT NULL DEFAULT 0,
    notify INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    domain TEXT NOT NULL,
    destination TEXT NOT NULL,
    path TEXT NOT NULL,
    orcpt TEXT,
    reason TEXT,
    reply TEXT,
    PRIMARY KEY (id, idx)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX recipient_due ON recipient (tenant, destination, due) WHERE state = 0;
  CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    accepted INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    discarded INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    probes INTEGER NOT NULL
  ) STRICT;
  INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0);
  `,
];

export const schemaVersion = migrations.length;

/** As stored in recipient.state. */
export const stateNumber = { Waiting: 0, Leased: 1, Held: 2 } as const;
export const stateNames = ['Waiting', 'Leased', 'Held'] as const;

/** Each migration is one transaction together with the version it leads to: a crash leaves the old schema or the new one. */
export function migrate(db: DatabaseSync, version: number): void {
  if (version > schemaVersion) {
    throw new QueueStoreError(
      'POSTROAD_QUEUE_NEWER',
      `The queue has schema version ${version}; this program knows versions up to ${schemaVersion}. Run the newer program.`,
    );
  }
  for (const [index, sql] of migrations.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}

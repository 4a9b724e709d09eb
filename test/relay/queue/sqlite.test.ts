import { conformance } from './conformance.ts';
import { openSqlite } from './sqlite-harness.ts';

conformance('Volume', openSqlite);

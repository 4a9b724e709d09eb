import { agreesWithModel } from './model-suite.ts';
import { openSqlite } from './sqlite-harness.ts';

agreesWithModel('Volume', openSqlite);

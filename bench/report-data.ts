/** What a report holds, as it is in its JSON. */

import type { Environment } from './environment.ts';
import type { GrowthReport } from './growth.ts';
import type { Counts } from './operation.ts';
import type { ContestantReport, Verdict } from './verdicts.ts';

export interface OperationReport {
  title: string;
  rounds: number;
  /** Files of the commit and bytes of their content. */
  files: number;
  bytes: number;
  environment: Environment;
  contestants: ContestantReport[];
  counts?: Counts;
  verdicts: Verdict[];
}

export interface Report {
  version: number;
  fileSystem: string;
  operations: Record<string, OperationReport>;
  growth?: GrowthReport;
}

/** Which repository a command means. */

import { homedir } from 'node:os';
import { join } from 'node:path';

export const SYSTEM_REPOSITORY = '/sysroot/composefs';
export const USER_REPOSITORY = '.var/lib/composefs';

export interface RepositoryChoice {
  repo?: string;
  system?: boolean;
  user?: boolean;
}

/** What was typed first, then the environment, then the place that suits the user. */
export function repositoryPath({ repo, system, user }: RepositoryChoice, env: NodeJS.ProcessEnv): string {
  if (repo !== undefined) return repo;
  if (system) return SYSTEM_REPOSITORY;
  if (user) return join(homedir(), USER_REPOSITORY);
  if (env.CFS_OSTREE_REPO) return env.CFS_OSTREE_REPO;
  return process.getuid?.() === 0 ? SYSTEM_REPOSITORY : join(homedir(), USER_REPOSITORY);
}

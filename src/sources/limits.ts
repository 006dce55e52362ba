/** As libostree. The largest public ones have some tens of MiB. */
export const MAX_SUMMARY_BYTES = 128 << 20;
/** Parents of parents, as `core.parent` chains them: one is usual. */
export const MAX_PARENT_REPOSITORIES = 8;

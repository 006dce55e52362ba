/** How commands that look inside explain their argument. */
export const TREE_ARGUMENT = 'ref, commit, image id or name, or file:PATH of an image or dumpfile';

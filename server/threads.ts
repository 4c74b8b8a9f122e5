/** How many threads wait for the disk: to be imported first, before anything uses one. */

/**
 * Node has four by default, and each sync of a file holds one for as long as the disk takes: with sixteen, as many files
 * become durable together, and PostgreSQL's answers are not kept waiting by DNS or compression. UV_THREADPOOL_SIZE of the
 * environment counts more.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "16";

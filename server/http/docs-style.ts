/** Style of the page at /api/docs. */
export const docsStyle = `
:root { color-scheme: light dark; --text: #1c2330; --dim: #5b6575; --page: #f6f7f9; --card: #fff; --line: #dfe3e8; --code: #eef1f4;
  --link: #1d5fbf; --get: #14713d; --post: #1d5fbf; --put: #96600a; --delete: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e8ee; --dim: #9aa5b4; --page: #12161c; --card: #1a2029; --line: #2d3642; --code: #232b36;
    --link: #7fb2ff; --get: #5fd08f; --post: #7fb2ff; --put: #e5b567; --delete: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 6rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -0.02em; }
h1 span { color: var(--dim); font-weight: 400; }
h2 { margin: 0 0 0.75rem; font-size: 1.15rem; }
h3 { margin: 1.25rem 0 0.4rem; color: var(--dim); font-size: 0.78rem; letter-spacing: 0.05em; text-transform: uppercase; }
header p { max-width: 46rem; margin: 0.6rem 0; color: var(--dim); }
a { color: var(--link); }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.875em; }
var { color: var(--put); font-style: normal; }
.columns { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: 2.5rem; margin-top: 2rem; }
nav ul { position: sticky; top: 2rem; margin: 0; padding: 0; list-style: none; }
nav a { display: block; padding: 0.2rem 0; color: var(--dim); text-decoration: none; }
nav a:hover, nav a:focus-visible { color: var(--link); }
section { margin-bottom: 2.5rem; scroll-margin-top: 1.5rem; }
details { margin: 0 0 0.5rem; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
summary { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.25rem 0.75rem; padding: 0.6rem 0.9rem; cursor: pointer; }
summary::-webkit-details-marker { display: none; }
summary > code { overflow-wrap: anywhere; }
summary span { margin-left: auto; color: var(--dim); font-size: 0.9rem; }
summary b { min-width: 4rem; font-size: 0.78rem; letter-spacing: 0.04em; }
b.get { color: var(--get); } b.post { color: var(--post); } b.put { color: var(--put); } b.delete { color: var(--delete); }
details > div { padding: 0 0.9rem 1rem; border-top: 1px solid var(--line); }
.section { margin: 0.75rem 0 0; color: var(--dim); font-size: 0.9rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tr:last-child > * { border-bottom: 0; }
th { width: 12rem; font-weight: 400; }
th small { display: block; color: var(--dim); }
.chips { margin: 0; line-height: 2; }
.chips code { padding: 0.15rem 0.4rem; border-radius: 4px; background: var(--code); white-space: nowrap; }
.good { color: var(--get); } .elsewhere { color: var(--post); } .bad { color: var(--delete); }
pre { margin: 0; padding: 0.75rem 0.9rem; border-radius: 6px; background: var(--code); white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 48rem) {
  .columns { grid-template-columns: minmax(0, 1fr); gap: 1.5rem; }
  nav ul { position: static; display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; }
  summary span { flex-basis: 100%; margin-left: 0; }
  th { width: 8.5rem; }
}
`;

/** Which SOP classes storescu and storescp of DCMTK negotiate in which transfer syntaxes. */

/** A configuration of association negotiation for storescu and storescp, with one profile: `Profile`. */
export function negotiationProfile(
  pairs: readonly { readonly sopClassUid: string; readonly transferSyntaxUid: string }[],
): string {
  const classes = [...Map.groupBy(pairs, ({ sopClassUid }) => sopClassUid)];
  return [
    "[[TransferSyntaxes]]",
    ...classes.flatMap(([, some], index) => [
      `[Syntaxes${index}]`,
      ...[...new Set(some.map((one) => one.transferSyntaxUid))].map((uid, at) => `TransferSyntax${at + 1} = ${uid}`),
    ]),
    "[[PresentationContexts]]",
    "[Contexts]",
    ...classes.map(([uid], index) => `PresentationContext${index + 1} = ${uid}\\Syntaxes${index}`),
    "[[Profiles]]",
    "[Profile]",
    "PresentationContexts = Contexts",
    "",
  ].join("\n");
}

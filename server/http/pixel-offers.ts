/** What pixel data may be sent as, by how it is stored (PS3.18 Tables 8.7.3-2 and 8.7.3-5). */
import {
  deflatedExplicitVrLittleEndian,
  explicitVrLittleEndian,
  implicitVrLittleEndian,
  transferSyntaxOf,
} from "../dicom/transfer-syntax.ts";
import type { Offer } from "./media-type.ts";

const octets = "application/octet-stream";

/** A way to send pixel data. */
export interface PixelOffer extends Offer {
  /** Content-Type of the frame, or of its part. */
  readonly contentType: string;
}

/**
 * The offers of frames that are stored in `storedSyntaxUid`, as parts or, where `single`, also alone. Viewers ask for
 * octets and look at the transfer syntax, so any encoding may travel as octets. Native frames are in Explicit VR Little
 * Endian; whoever names the syntax of the file, as the metadata does, means the same bytes, unless that is big endian.
 * Implicit VR is accepted and not claimed: PS3.18 8.7.3 keeps it out of web services.
 */
export function pixelOffers(storedSyntaxUid: string, single: boolean): PixelOffer[] {
  const syntax = transferSyntaxOf(storedSyntaxUid);
  const native = syntax?.pixels === "native";
  const claimed = native ? explicitVrLittleEndian.uid : storedSyntaxUid;
  const named = sameNativeBytes.has(storedSyntaxUid) ? [claimed, storedSyntaxUid] : [claimed];
  const types = syntax && syntax.frameMediaType !== octets ? [syntax.frameMediaType, octets] : [octets];
  return types.flatMap((mediaType) =>
    named.flatMap((transferSyntaxUid) => {
      const offer = { mediaType, transferSyntaxUid, contentType: `${mediaType}; transfer-syntax=${claimed}` };
      return single
        ? [
            { ...offer, multipart: true },
            { ...offer, multipart: false },
          ]
        : [{ ...offer, multipart: true }];
    }),
  );
}

const sameNativeBytes = new Set<string>([implicitVrLittleEndian.uid, deflatedExplicitVrLittleEndian.uid]);

/** `offers` in words, for the sentence of a 406. */
export function available(offers: readonly (Offer & { readonly contentType?: string })[]): string {
  const texts = offers.map(({ mediaType, multipart, transferSyntaxUid }) => {
    const type = multipart ? `multipart/related; type="${mediaType}"` : mediaType;
    return transferSyntaxUid === undefined ? type : `${type}; transfer-syntax=${transferSyntaxUid}`;
  });
  const distinct = [...new Set(texts)];
  return distinct.length > 1 ? `${distinct.slice(0, -1).join(", ")} and ${distinct.at(-1)}` : (distinct[0] ?? "");
}

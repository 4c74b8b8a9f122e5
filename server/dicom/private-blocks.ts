/** Blocks of private attributes (PS3.5 7.8.1) for models that name the creator and leave the block out. */
import { isFields } from "./json-reader.ts";

interface Group {
  /** Block by creator, as far as this class gave or found it. */
  readonly blocks: Map<string, string>;
  /** Blocks that have attributes or a Private Creator. */
  readonly used: Set<string>;
}

/** Gives private attributes of one data set their blocks, and the data set the Private Creators that reserve them. */
export class PrivateBlocks {
  readonly #attributes: Record<string, unknown>;
  readonly #groups = new Map<string, Group>();

  constructor(attributes: Record<string, unknown>) {
    this.#attributes = attributes;
  }

  /**
   * The tag at which the attribute `tag` of `creator` stands; to be called for every attribute, in their order. With a
   * creator and a block of 00 it gets the block of that creator, which is reserved if need be; with a block of its
   * own, the block is reserved for the creator if nobody has; if another has, it gets one as if it had none.
   */
  place(tag: string, named: string | undefined): string {
    const creator = named?.trim();
    const name = tag.slice(0, 4);
    if (Number.parseInt(name, 16) % 2 === 0) return tag;
    const group = this.#groups.get(name) ?? { blocks: new Map<string, string>(), used: new Set<string>() };
    this.#groups.set(name, group);
    const written = tag.slice(4, 6);
    if (!creator) {
      group.used.add(written === "00" ? tag.slice(6) : written);
      return tag;
    }
    const isFree = written !== "00" && (this.#creatorOf(name, written) ?? creator) === creator;
    const block = isFree ? written : (group.blocks.get(creator) ?? this.#blockOf(name, group, creator));
    group.used.add(block);
    const reserved = `${name}00${block}`;
    if (block !== "00" && !Object.hasOwn(this.#attributes, reserved)) {
      this.#attributes[reserved] = { vr: "LO", Value: [creator] };
    }
    if (block !== "00") group.blocks.set(creator, block);
    return `${name}${block}${tag.slice(6)}`;
  }

  /** The block that the creator has, else a free one; 00, which no attribute may have, when all are taken. */
  #blockOf(name: string, { used }: Group, creator: string): string {
    for (const block of used) if (this.#creatorOf(name, block) === creator) return block;
    for (let block = 0x10; block <= 0xff; block += 1) {
      const hex = block.toString(16).toUpperCase();
      if (!used.has(hex)) return hex;
    }
    return "00";
  }

  /** Who has reserved a block; undefined when nobody has. */
  #creatorOf(name: string, block: string): string | undefined {
    const attribute = this.#attributes[`${name}00${block}`];
    const creator: unknown =
      isFields(attribute) && Array.isArray(attribute["Value"]) ? attribute["Value"][0] : undefined;
    return typeof creator === "string" ? creator.trim() : undefined;
  }
}

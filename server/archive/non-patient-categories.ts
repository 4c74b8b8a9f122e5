/** Categories of instances that belong to no patient (PS3.18 Table 12.1.1-1), and their SOP classes (PS3.4 GG.3). */

/** Names of the resources. Protocol approvals came with CP-2551. */
export const nonPatientCategories = [
  "color-palettes",
  "defined-procedure-protocols",
  "hanging-protocols",
  "implant-templates",
  "inventories",
  "protocol-approvals",
] as const;
export type NonPatientCategory = (typeof nonPatientCategories)[number];

/** The category of each SOP class. */
export const categoryBySopClass: Readonly<Record<string, NonPatientCategory>> = {
  // Color Palette Storage
  "1.2.840.10008.5.1.4.39.1": "color-palettes",
  // CT and XA Defined Procedure Protocol Storage
  "1.2.840.10008.5.1.4.1.1.200.1": "defined-procedure-protocols",
  "1.2.840.10008.5.1.4.1.1.200.7": "defined-procedure-protocols",
  // Hanging Protocol Storage
  "1.2.840.10008.5.1.4.38.1": "hanging-protocols",
  // Generic Implant Template, Implant Assembly Template and Implant Template Group Storage
  "1.2.840.10008.5.1.4.43.1": "implant-templates",
  "1.2.840.10008.5.1.4.44.1": "implant-templates",
  "1.2.840.10008.5.1.4.45.1": "implant-templates",
  // Inventory Storage
  "1.2.840.10008.5.1.4.1.1.201.1": "inventories",
  // Protocol Approval Storage
  "1.2.840.10008.5.1.4.1.1.200.3": "protocol-approvals",
};

/** The category of a SOP class; undefined when its instances belong to a patient. */
export function nonPatientCategoryOf(sopClassUid: string): NonPatientCategory | undefined {
  return categoryBySopClass[sopClassUid];
}

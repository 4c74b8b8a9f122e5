/** Every malformed file of the corpus gets an outcome with a reason, and harms nothing that is stored. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { first, items, toDataSet } from "../support/dicom-json.ts";
import { instanceFile } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { malformedFiles } from "./files.ts";

/** What becomes of each file, in an archive that holds none of the others. `stored` is without, `warned` with a warning. */
const expected: Readonly<Record<string, "stored" | "warned" | RegExp>> = {
  "bad_sequence.dcm": /SOPInstanceUID \(0008,0018\) is not a UID/,
  "bad_vr.dcm": "warned",
  "bot_wrong_offsets_emri_j2k.dcm": "stored",
  "date_acr_form.dcm": "stored",
  "deflated_truncated.dcm": /cannot be inflated|ends/,
  "duplicate_element.dcm": "warned",
  "element_length_past_end.dcm": /ends at byte/,
  "elements_out_of_order.dcm": "warned",
  "empty_charset.dcm": /is missing/,
  "empty_file.dcm": /is empty/,
  "empty_patient_id.dcm": "stored",
  "empty_pixeldata_gh1146.dcm": "warned",
  "encapsulated_no_delimiter.dcm": "warned",
  "encapsulated_truncated.dcm": /ends at byte 54398/,
  "eot_wrong_offsets_emri_j2k.dcm": "stored",
  "explicit_be_no_meta.dcm": "warned",
  "explicit_le_no_meta.dcm": "warned",
  "gzip_of_dicom.dcm": /not DICOM/,
  "html_in_preamble.dcm": "stored",
  "invalid_utf8.dcm": /has no VR/,
  "invalid_vr_length.dcm": "warned",
  "is_not_number.dcm": "warned",
  "j2k_too_short.dcm": "warned",
  "markup_in_text.dcm": "stored",
  "meta_missing_transfer_syntax.dcm": /not DICOM/,
  "meta_sop_uid_mismatch.dcm": "warned",
  "missing_series_uid.dcm": /SeriesInstanceUID \(0020,000E\) is missing/,
  "missing_sop_class.dcm": "stored",
  "missing_study_uid.dcm": /StudyInstanceUID \(0020,000D\) is missing/,
  "mr_truncated_pixels.dcm": /62 bytes are missing/,
  "nested_150_deep.dcm": "stored",
  "no_meta_ct.dcm": /not DICOM/,
  "no_meta_group_length.dcm": /is missing/,
  "no_meta_length_us.dcm": "warned",
  "no_preamble_dicm_in_data.dcm": /is missing/,
  "no_preamble_with_meta.dcm": "warned",
  "odd_value_length.dcm": "stored",
  "oob_rows_65535.dcm": "warned",
  "patientid_collision_1.dcm": "stored",
  "patientid_collision_2.dcm": "stored",
  "patientid_collision_3.dcm": "stored",
  "pixeldata_too_long.dcm": "warned",
  "preamble_only.dcm": /not DICOM/,
  "rows_empty.dcm": "warned",
  "rtplan_truncated.dcm": /ends at byte 2092/,
  "same_uid_other_pixels_a.dcm": "stored",
  "same_uid_other_pixels_b.dcm": /^Other content/,
  "text_file.dcm": /not DICOM/,
  "time_with_colons.dcm": "stored",
  "truncated_3gb_bulk.dcm": /3221127392 bytes are missing/,
  "truncated_in_header.dcm": /ends at byte/,
  "truncated_in_value_length.dcm": /ends at byte/,
  "uid_68_chars.dcm": "warned",
  "uid_leading_zeros.dcm": "warned",
  "uid_letters.dcm": /SOPInstanceUID \(0008,0018\) is not a UID/,
  "un_sequence.dcm": /is missing/,
  "unknown_sop_class.dcm": "stored",
};

describe("every malformed file of the corpus", requirement("corpus"), () => {
  const servers: TestServer[] = [];
  const kept = instanceFile({ PatientName: "Kept^Patient" });

  before(async () => {
    servers.push(await startTestServer());
    assert.equal((await post(servers[0], kept.bytes)).status, 200);
  });
  after(async () => {
    for (const server of servers) await server.stop();
  });

  it("has an outcome with a reason", async (t) => {
    const seen: Record<string, string | RegExp> = {};
    let [stored, refused] = [0, 0];
    for (const { name, path } of await malformedFiles()) {
      const file = name.replace("malformed/", "");
      const pattern = expected[file];
      const outcome = await store(await readFile(path), pattern instanceof RegExp ? pattern : undefined);
      const matches = pattern instanceof RegExp && pattern.test(outcome);
      seen[file] = matches ? pattern : outcome;
      if (outcome === "stored" || outcome === "warned") stored += 1;
      else refused += 1;
    }
    t.diagnostic(`${stored} stored, ${refused} refused`);
    assert.deepEqual(seen, expected);
  });

  it("leaves the server up, what was stored unharmed, and a row for every object", async () => {
    const { studyInstanceUid: study, seriesInstanceUid: series, sopInstanceUid: instance } = kept;
    const url = `${servers[0]?.url}/dicom-web/studies/${study}/series/${series}/instances/${instance}`;
    const response = await fetch(url, { headers: { Accept: "application/dicom" } });
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), kept.bytes);
    for (const { knex } of servers) {
      const orphans = await knex("series").leftJoin("instance", "series_id", "series.id").whereNull("instance.id");
      assert.deepEqual(orphans, []);
    }
  });

  /** The outcome; a file whose UIDs another one has goes to the next archive, unless that is what it is there for. */
  async function store(bytes: Buffer<ArrayBuffer>, reason: RegExp | undefined): Promise<string> {
    for (let index = 0; ; index += 1) {
      servers[index] ??= await startTestServer();
      const response = await post(servers[index], bytes);
      const answer = toDataSet(await response.json());
      if (response.status === 200) {
        const [item] = items(answer, "00081199");
        return item?.["00081196"] ? "warned" : "stored";
      }
      assert.equal(response.status, 409);
      const [failed] = [...items(answer, "00081198"), ...items(answer, "0008119A")];
      const [comment] = failed ? items(failed, "00741048") : [];
      const message = String(first(comment, "00000902"));
      if (!message.startsWith("Other content") || reason?.test(message)) return message;
    }
  }
});

function post(server: TestServer | undefined, bytes: Buffer<ArrayBuffer>): Promise<Response> {
  return fetch(`${server?.url}/dicom-web/studies`, {
    method: "POST",
    headers: { "Content-Type": "application/dicom" },
    body: bytes,
  });
}

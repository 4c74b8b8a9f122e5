/** Paging of searches: Link cursors while instances arrive, order, total count, and answers of many pages. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { first, type JsonDataSet, toDataSets } from "../support/dicom-json.ts";
import { instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** Studies that are rows alone: enough for three pages of a thousand. */
const seeded = 2500;

describe("paging of searches", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    await server.knex.raw(
      `insert into study (study_instance_uid, study_date, study_time, patient_name, patient_id, attributes)
       select '9.' || n,
         case when n % 10 = 0 then null else date '2020-01-01' + (n % 50) end,
         case when n % 7 = 0 then null else time '08:00' + (n % 3) * interval '1 hour 0.25 second' end,
         case when n % 11 = 0 then null else '=Seed^' || n % 20 || '===' end,
         'P' || n, jsonb_build_object('00100020', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array('P' || n)))
       from generate_series(1, ?) as n`,
      [seeded],
    );
    await server.knex.raw(
      `insert into series (study_id, series_instance_uid, series_number, modality, attributes)
       select id, study_instance_uid || '.' || k, nullif(k, 2), 'CT', '{}' from study, generate_series(1, 2) as k
       where study_instance_uid in ('9.1', '9.2', '9.3')`,
    );
    await server.knex.raw("analyze study");
  });
  after(() => server.stop());

  interface Answer {
    readonly matches: JsonDataSet[];
    /** Path and query of the Link header. */
    readonly next: string | undefined;
    readonly warning: string | undefined;
    readonly total: string | undefined;
  }

  async function get(path: string): Promise<Answer> {
    const response = await request(server.url).get(path).expect(200);
    const link = /^<([^>]+)>; rel="next"$/.exec(response.headers["link"] ?? "")?.[1];
    if (link !== undefined) assert.ok(link.startsWith(`${server.url}/dicom-web/`), link);
    return {
      matches: toDataSets(JSON.parse(response.text)),
      next: link?.slice(server.url.length),
      warning: response.headers["warning"],
      total: response.headers["x-total-count"],
    };
  }

  /** Every UID that a walk along the links meets. */
  async function walk(path: string, tag: string, between: (page: number) => Promise<void> = async () => undefined) {
    const uids: unknown[] = [];
    for (let next: string | undefined = path, page = 0; next !== undefined; page += 1) {
      assert.ok(page < 1000, "the walk does not end");
      const answer = await get(next);
      uids.push(...answer.matches.map((match) => first(match, tag)));
      next = answer.next;
      await between(page);
    }
    return uids;
  }

  async function store(attributes: Parameters<typeof instanceFile>[0]): Promise<void> {
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(instanceFile(attributes).bytes)
      .expect(200);
  }

  it("walks along the links in the order of one answer, nulls included, for every order", async () => {
    const orders = [
      "",
      "&orderby=-StudyDate",
      "&orderby=StudyTime,-PatientName",
      "&orderby=00100020",
      "&orderby=PatientName",
    ];
    for (const order of orders) {
      const { matches, next } = await get(`/dicom-web/studies?limit=5000${order}`);
      assert.equal(next, undefined);
      assert.equal(matches.length, seeded);
      const whole = matches.map((match) => first(match, "0020000D"));
      assert.deepEqual(await walk(`/dicom-web/studies?limit=333${order}`, "0020000D"), whole, order);
      assert.deepEqual(await walk(`/dicom-web/studies?limit=1100${order}`, "0020000D"), whole, order);
    }
    const { matches: bySeries } = await get("/dicom-web/series?orderby=-SeriesInstanceUID");
    const series = bySeries.map((match) => first(match, "0020000E"));
    assert.deepEqual(series, ["9.3.2", "9.3.1", "9.2.2", "9.2.1", "9.1.2", "9.1.1"]);
    assert.deepEqual(await walk("/dicom-web/series?limit=1&orderby=-SeriesInstanceUID", "0020000E"), series);
    assert.deepEqual(await walk("/dicom-web/studies/9.1/series?limit=1", "0020000E"), ["9.1.1", "9.1.2"]);
  });

  it("orders as PostgreSQL does, with nulls last either way", async () => {
    for (const [orderby, sql] of [
      [
        "PatientName,-StudyDate",
        "patient_name nulls last, study_date desc nulls last, study_time desc nulls last, id desc",
      ],
      [
        "-PatientName,StudyTime",
        "patient_name desc nulls last, study_time nulls last, study_date desc nulls last, id desc",
      ],
    ] as const) {
      const { rows } = await server.knex.raw(`select study_instance_uid as uid from study order by ${sql} limit 1500`);
      const { matches } = await get(`/dicom-web/studies?limit=1500&orderby=${orderby}`);
      assert.deepEqual(
        matches.map((match) => first(match, "0020000D")),
        rows.map(({ uid }: { uid: string }) => uid),
      );
    }
  });

  it("neither repeats nor misses a match while instances arrive, where offset does", async () => {
    const { matches } = await get("/dicom-web/studies?limit=5000&PatientID=P*");
    const present = matches.map((match) => first(match, "0020000D"));
    const arriving = async (page: number) => {
      // The newest of all, one in the middle, one without date.
      await store({ PatientID: "P-new", StudyDate: "20300101", StudyTime: "" });
      await store({ PatientID: "P-new", StudyDate: "20200120", StudyTime: "080000" });
      if (page % 3 === 0) await store({ PatientID: "P-new", StudyDate: "", StudyTime: "" });
    };
    const walked = await walk("/dicom-web/studies?limit=400&PatientID=P*", "0020000D", arriving);
    assert.equal(new Set(walked).size, walked.length, "a match came twice");
    const known = new Set(present);
    assert.deepEqual(
      walked.filter((uid) => known.has(uid)),
      present,
    );
    await server.knex("study").where("patient_id", "P-new").delete();
  });

  it("carries the query of the first request in the link, and its limit, but no offset", async () => {
    const { matches, next } = await get(
      "/dicom-web/studies?offset=2&limit=3&PatientName=*Seed%5E1*&includefield=PatientSex",
    );
    assert.equal(matches.length, 3);
    const query = new URL(next ?? "", server.url).searchParams;
    assert.deepEqual([...query.keys()], ["limit", "PatientName", "includefield", "cursor"]);
    assert.equal(query.get("PatientName"), "*Seed^1*");
    const all = await get("/dicom-web/studies?limit=5000&PatientName=*Seed%5E1*");
    const following = await get(next ?? "");
    assert.deepEqual(
      [...matches, ...following.matches].map((match) => first(match, "0020000D")),
      all.matches.slice(2, 8).map((match) => first(match, "0020000D")),
    );
  });

  it("has no link where nothing follows", async () => {
    assert.equal((await get(`/dicom-web/studies?limit=${seeded}`)).next, undefined);
    assert.notEqual((await get(`/dicom-web/studies?limit=${seeded - 1}`)).next, undefined);
    assert.equal((await get("/dicom-web/studies?limit=10&PatientID=P7")).next, undefined);
    assert.equal((await get("/dicom-web/studies?limit=0")).next, undefined);
    assert.deepEqual((await get(`/dicom-web/studies?offset=${seeded}`)).matches, []);
  });

  it("says so where the link would be too long for clients, and leaves it out", async () => {
    const long = await get(`/dicom-web/studies?limit=2&includefield=${"StudyDescription,".repeat(700)}PatientAge`);
    assert.equal(long.matches.length, 2);
    assert.equal(long.next, undefined);
    assert.match(long.warning ?? "", /too long for a Link header/);
  });

  it("announces its own limit, and the largest one", async () => {
    const limited = await get("/dicom-web/studies");
    assert.equal(limited.matches.length, 1000);
    assert.match(
      limited.warning ?? "",
      /^299 http:\S+\/dicom-web: "The number of results exceeded the maximum supported/,
    );
    assert.equal((await get("/dicom-web/studies?limit=2000")).warning, undefined);
    assert.equal((await get("/dicom-web/studies?limit=9999999")).warning, undefined, "none is left out");
  });

  it("counts all matches when asked, whatever is answered of them", async () => {
    assert.equal((await get("/dicom-web/studies?limit=3")).total, undefined);
    assert.equal((await get("/dicom-web/studies?limit=3&count=false")).total, undefined);
    const answer = await get("/dicom-web/studies?limit=3&count=true");
    assert.equal(answer.total, `${seeded}`);
    assert.equal((await get(answer.next ?? "")).total, `${seeded}`);
    assert.equal((await get("/dicom-web/studies?offset=99999&count=true&PatientID=P1*")).total, "1111");
    const none = await get("/dicom-web/studies?limit=0&count=true");
    assert.deepEqual([none.matches.length, none.total], [0, `${seeded}`]);
    assert.equal((await get("/dicom-web/series?count=true&StudyInstanceUID=9.1")).total, "2");
  });

  it("answers 400 to a cursor that is none, or is of another order, and to one with an offset", async () => {
    const { next } = await get("/dicom-web/studies?limit=1");
    const cursor = new URL(next ?? "", server.url).searchParams.get("cursor") ?? assert.fail();
    const [mark] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const forged = (...values: unknown[]) => Buffer.from(JSON.stringify(values)).toString("base64url");
    const bad = [
      "x",
      "",
      "%00",
      "a".repeat(100_000).slice(0, 9000),
      forged(),
      forged(mark),
      forged(mark, null, "2020-02-31", null, 1),
      forged(mark, null, "2020-02-01", "25:00:00", 1),
      forged(mark, null, null, null, null),
      forged(mark, null, null, null, 1.5),
      forged(mark, null, null, null, 1, 2),
      forged(mark, 7, null, null, 1),
      forged(mark, null, "'; drop table study", null, 1),
      forged("other", null, null, null, 1),
    ];
    for (const each of bad) {
      const response = await request(server.url).get(`/dicom-web/studies?cursor=${each}`);
      assert.equal(response.status, 400, each.slice(0, 99));
      assert.match(JSON.parse(response.text).detail, /cursor/);
    }
    await request(server.url)
      .get(`/dicom-web/studies?cursor=${forged(mark, null, null, null, 1)}`)
      .expect(200);
    await request(server.url).get(`/dicom-web/studies?cursor=${cursor}&orderby=PatientName`).expect(400);
    await request(server.url).get(`/dicom-web/series?cursor=${cursor}`).expect(400);
    await request(server.url).get(`/dicom-web/studies?cursor=${cursor}&offset=1`).expect(400);
  });

  it("answers 400 to an order or a count that it does not have", async () => {
    const bad = [
      "orderby=NoSuch",
      "orderby=SeriesNumber",
      "orderby=ModalitiesInStudy",
      "orderby=--StudyDate",
      "count=yes",
    ];
    for (const query of bad) {
      const response = await request(server.url).get(`/dicom-web/studies?${query}`);
      assert.equal(response.status, 400, query);
      assert.ok(response.text.includes(query.split("=")[0] ?? ""), response.text);
    }
  });
});

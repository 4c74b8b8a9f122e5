/** The settings: defaults, every fault in one message, secrets masked. */
import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { ConfigError, describeConfig, describeMistyped, loadConfig } from "../../server/config.ts";

function faultsOf(environment: Readonly<Record<string, string>>): string {
  try {
    loadConfig(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return "";
}

const s3 = { S3_ENDPOINT: "http://127.0.0.1:9000", S3_ACCESS_KEY: "noctis", S3_SECRET_KEY: "hunter2" };

describe("config", () => {
  it("has defaults for everything, on the loopback interface", () => {
    const config = loadConfig({});
    assert.deepEqual([config.HTTP_HOST, config.HTTP_PORT, config.LOG_LEVEL], ["127.0.0.1", 8080, "info"]);
    assert.equal(config.DATA_DIR, path.resolve("data"));
    assert.deepEqual([config.DATABASE_URL, config.S3_ENDPOINT, config.PUBLIC_URL], [undefined, undefined, undefined]);
  });

  it("takes a variable that is set to nothing for unset, and ignores others", () => {
    assert.equal(loadConfig({ HTTP_PORT: "", DATABASE_URL: "", PATH: "/bin" }).HTTP_PORT, 8080);
  });

  it("drops the slash at the end of an address", () => {
    assert.equal(loadConfig({ PUBLIC_URL: "https://pacs.example//" }).PUBLIC_URL, "https://pacs.example");
    assert.match(faultsOf({ PUBLIC_URL: "https://pacs.example/?a=b" }), /PUBLIC_URL: must have neither a query/);
  });

  it("names every fault in one message, also what one setting needs of another", () => {
    const wrong = {
      HTTP_PORT: "70000",
      LOG_LEVEL: "loud",
      DATABASE_URL: "mysql://host/db",
      S3_ENDPOINT: "http://127.0.0.1:9000",
      PUBLIC_URL: "pacs.example",
      DATABASE_POOL: "1",
      STOP_TIMEOUT: "soon",
    };
    const message = faultsOf(wrong);
    for (const name of [...Object.keys(wrong), "S3_ACCESS_KEY", "S3_SECRET_KEY"]) {
      if (name !== "S3_ENDPOINT") assert.match(message, new RegExp(`^ {2}${name}: .+`, "m"));
    }
    assert.equal(message.split("\n").length, 9);
  });

  it("knows what TLS and users of DIMSE need", () => {
    assert.match(faultsOf({ DIMSE_USER_REQUIRED: "true" }), /DIMSE_USERS_FILE: is needed with DIMSE_USER_REQUIRED/);
    assert.match(faultsOf({ DIMSE_TLS_CERT: "cert" }), /^ {2}DIMSE_TLS_KEY: is needed for TLS$/m);
    const missing = faultsOf({ DIMSE_TLS_PORT: "2762" }).match(/DIMSE_TLS_\w+(?=: is needed)/g);
    assert.deepEqual(missing, ["DIMSE_TLS_KEY", "DIMSE_TLS_CERT", "DIMSE_TLS_CA"]);
    const files = { DIMSE_TLS_KEY: "key", DIMSE_TLS_CERT: "cert" };
    assert.equal(faultsOf({ DIMSE_TLS_PORT: "2762", DIMSE_TLS_CLIENT_CERT: "none", ...files }), "");
    assert.match(faultsOf({ DIMSE_ACCEPT: "CT1@10.0.0.0/99" }), /DIMSE_ACCEPT: must be rules such as CT1@10/);
  });

  it("takes a list of origins or a star, and true or false", () => {
    const { CORS_ORIGINS, TRUST_PROXY } = loadConfig({
      CORS_ORIGINS: "https://a.example , http://localhost:3000",
      TRUST_PROXY: "false",
    });
    assert.deepEqual([CORS_ORIGINS, TRUST_PROXY], [["https://a.example", "http://localhost:3000"], false]);
    assert.deepEqual(loadConfig({ CORS_ORIGINS: "*" }).CORS_ORIGINS, ["*"]);
    assert.equal(loadConfig({}).TRUST_PROXY, true);
    for (const origins of ["https://a.example/", "a.example", "null", "https://a.example,", "https://*.example"]) {
      assert.match(faultsOf({ CORS_ORIGINS: origins }), /CORS_ORIGINS: must be \* or origins/, origins);
    }
    assert.match(faultsOf({ TRUST_PROXY: "1", CORS_EXPOSE_HEADERS: "a b" }), /TRUST_PROXY: [^]*CORS_EXPOSE_HEADERS: /);
  });

  it("says in its own words what a value must be", () => {
    const wrong = {
      HTTP_HOST: "my host",
      HTTP_PORT: "0x50",
      DATA_DIR: " ",
      S3_BUCKET: "My Bucket",
      DUPLICATES: "no",
      REMOVED_KEEP_DAYS: " ",
      LOG_LEVEL: "loud",
    };
    const message = faultsOf(wrong);
    assert.match(message, /^ {2}DUPLICATES: must be keep, replace or reject$/m);
    assert.match(message, /^ {2}LOG_LEVEL: must be trace, debug, info, warn, error, fatal or silent$/m);
    for (const name of Object.keys(wrong)) assert.match(message, new RegExp(`^ {2}${name}: must `, "m"));
    assert.equal(message.split("\n").length, 1 + Object.keys(wrong).length);
    assert.equal(loadConfig({ HTTP_PORT: "8081 " }).HTTP_PORT, 8081);
  });

  it("takes an address or the name of a host to listen on, and nothing else", () => {
    for (const host of ["0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "pacs-1.example", "a_b"]) {
      assert.equal(loadConfig({ HTTP_HOST: host }).HTTP_HOST, host);
    }
    for (const host of [" ", "127.0.0.1 ", "[::1]", "127.0.0.300", "127.0.0.1:80", "http://a", "a..b", "a/b"]) {
      assert.match(
        faultsOf({ HTTP_HOST: host }),
        /^ {2}HTTP_HOST: must be an IP address or the name of a host$/m,
        host,
      );
    }
  });

  it("tells in one line which variables are nearly settings", () => {
    const line = describeMistyped({ HTTP_PRT: "8281", cors_origin: "*", DATABSE_ULR: "x", HTTP_PORT: "1" });
    assert.equal(
      line,
      "Set, but no setting, and ignored: HTTP_PRT (did you mean HTTP_PORT?), cors_origin (did you mean CORS_ORIGINS?), " +
        "DATABSE_ULR (did you mean DATABASE_URL?).",
    );
    const foreign = ["HTTP_PROXY", "https_proxy", "NO_PROXY", "SMTP_HOST", "SMTP_PORT", "FTP_HOST", "HTTPS_PORT"];
    foreign.push("AWS_REGION", "AWS_SECRET_ACCESS_KEY", "XDG_DATA_DIRS", "DATABASE_HOST", "DATABASE_PORT", "PGDATA");
    foreign.push("DATABASE_NAME", "DATABASE_USER", "LOG_FILE", "LC_ALL", "PATH", "HOME", "HOSTNAME", "PORT", "HOST");
    foreign.push("APP_PORT", "TMPDIR", "NODE_ENV", "npm_config_loglevel", "DB_HOST", "LOGNAME");
    assert.equal(describeMistyped(Object.fromEntries(foreign.map((name) => [name, "x"]))), undefined);
    assert.equal(
      describeMistyped({
        HTTP_PRT: "",
        ...Object.fromEntries(describeConfig(loadConfig({})).map(({ name }) => [name, "x"])),
      }),
      undefined,
    );
    assert.match(faultsOf({ S3_ENDPONT: "http://a", S3_ACCESS_KEY: "a" }), /\nSet, but .*S3_ENDPOINT\?\)\.$/);
  });

  it("asks for both keys of an object store", () => {
    assert.equal(faultsOf(s3), "");
    assert.match(faultsOf({ S3_ENDPOINT: s3.S3_ENDPOINT, S3_ACCESS_KEY: "a" }), /^ {2}S3_SECRET_KEY: /m);
    assert.doesNotMatch(faultsOf({ S3_ENDPOINT: s3.S3_ENDPOINT, S3_ACCESS_KEY: "a" }), /S3_ACCESS_KEY/);
  });

  it("tells no secret in a fault", () => {
    const message = faultsOf({
      DATABASE_URL: "mysql://user:hunter2@host/db",
      ...s3,
      S3_ENDPOINT: "ftp://key:hunter2@host",
    });
    assert.match(message, /DATABASE_URL/);
    assert.doesNotMatch(message, /hunter2/);
  });

  it("describes every setting with its secrets masked", () => {
    const urls = [
      "postgresql://noctis:hunter2@db.example:5432/noctis",
      "postgresql://noctis@db.example/noctis?password=hunter2&sslmode=require",
      "postgres://noctis:hunter2@db.example/noctis?password=hunter2",
    ];
    for (const DATABASE_URL of urls) {
      const lines = describeConfig(loadConfig({ ...s3, DATABASE_URL, S3_ENDPOINT: "https://key:hunter2@s3.example" }));
      assert.doesNotMatch(JSON.stringify(lines), /hunter2/);
      const valueOf = (name: string) => lines.find((line) => line.name === name)?.value;
      assert.match(valueOf("DATABASE_URL") ?? "", /db\.example/);
      assert.match(valueOf("S3_ENDPOINT") ?? "", /s3\.example/);
      assert.equal(valueOf("S3_SECRET_KEY"), "********");
      assert.equal(valueOf("PUBLIC_URL"), "(unset)");
      assert.ok(lines.every(({ description }) => description !== ""));
    }
    const plain = describeConfig(loadConfig({ DATABASE_URL: "postgresql://db.example/noctis" }));
    assert.equal(plain.find(({ name }) => name === "DATABASE_URL")?.value, "postgresql://db.example/noctis");
  });

  it("takes a folder or a bucket for backups, times of day, and a rule that keeps something", () => {
    const backups = { BACKUP_TO: "s3://backups/", BACKUP_AT: "02:30, 14:30", BACKUP_KEEP: "30d" };
    const { BACKUP_AT, BACKUP_KEEP } = loadConfig(backups);
    assert.deepEqual([BACKUP_AT, BACKUP_KEEP], [["02:30", "14:30"], "30d"]);
    assert.equal(loadConfig({ BACKUP_TO: "/mnt/backup" }).BACKUP_KEEP, "7d4w12m");
    assert.match(faultsOf({ BACKUP_AT: "02:30" }), /^ {2}BACKUP_AT: is set without BACKUP_TO$/m);
    for (const BACKUP_TO of ["s3://", "s3://A_B", "s3://bucket/prefix", "https://host/bucket"]) {
      assert.match(faultsOf({ BACKUP_TO }), /BACKUP_TO: must be a folder or of the form s3:/, BACKUP_TO);
    }
    assert.match(faultsOf({ ...backups, BACKUP_AT: "25:00" }), /BACKUP_AT: must be times of day/);
    assert.match(faultsOf({ ...backups, BACKUP_KEEP: "0d" }), /BACKUP_KEEP: must be like 7d4w12m/);
  });
});

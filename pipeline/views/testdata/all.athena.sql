-- Views of what fhirkiln published, for Athena (engine version 3), and for Trino over the same Glue catalog.
--
--   patient, ...              every live version of every resource
--   current_patient, ...      the newest version of each resource, unless it was deleted since
--   kiln_tombstones           what servers said was deleted
--   kiln_runs, kiln_parts     the live runs, and their files
--
-- The tables have no partitions. Symlink manifests name their files, and each run that publishes writes
-- the manifests, so there is nothing to repair or refresh. Print the script again for a new resource type,
-- and after a change of id_space.
--
-- Athena runs one statement at a time. Names are in lower case, as Glue keeps them: queries may write
-- them in any case. A name that is a keyword or begins with an underscore needs backticks in
-- DDL and double quotes in queries. Times are UTC, to the millisecond.

-- The feeds' objects. Each is one line of JSON.
CREATE EXTERNAL TABLE IF NOT EXISTS `kiln_feeds` (
  `version` bigint, `feed` string, `source` string,
  `runs` array<struct<`run`:string,`kind`:string,`status`:string,`published`:string,`transaction_time`:string,`resources`:bigint,`parts`:bigint,`bytes`:bigint>>
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://state/_fhirkiln/feeds/';

CREATE OR REPLACE VIEW "kiln_runs" AS
SELECT f."source" AS kiln_source, f."feed" AS kiln_feed, u."run" AS kiln_run, u."kind", u."status",
  CAST(CASE WHEN regexp_like(u."published", '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$') THEN try(from_iso8601_timestamp_nanos(u."published")) END AS timestamp) AS "published", u."transaction_time", u."resources", u."parts", u."bytes"
FROM "kiln_feeds" f
CROSS JOIN UNNEST(f."runs") AS u ("run", "kind", "status", "published", "transaction_time", "resources", "parts", "bytes")
WHERE f."version" = 1;

CREATE EXTERNAL TABLE IF NOT EXISTS `kiln_rows_deleted` (
  `resourcetype` string,
  `id` string,
  `__origin` struct<`source`:string,`feed`:string,`run`:string,`file`:string,`line`:bigint,`transactiontime`:string>
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://lake/claims/_fhirkiln/athena/deleted/';

CREATE OR REPLACE VIEW "kiln_tombstones" AS
SELECT "resourcetype", "id", "__origin", kiln_source, kiln_feed, kiln_run, CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space
FROM (
  SELECT *, regexp_extract("$path", 'kiln_source=([^/]+)', 1) AS kiln_source, regexp_extract("$path", 'kiln_feed=([^/]+)', 1) AS kiln_feed, regexp_extract("$path", 'kiln_run=([^/]+)', 1) AS kiln_run
  FROM "kiln_rows_deleted"
);

CREATE EXTERNAL TABLE IF NOT EXISTS `kiln_rows_basic` (
  `resourcetype` string,
  `id` string,
  `meta` struct<`versionid`:string,`lastupdated`:string,`__lastupdated_start`:timestamp,`source`:string,`profile`:array<string>,`security`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`tag`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>>,
  `implicitrules` string,
  `language` string,
  `text` struct<`status`:string,`div`:string>,
  `identifier` array<struct<`use`:string,`type`:struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,`system`:string,`value`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>,`assigner`:struct<`reference`:string,`display`:string>>>,
  `code` struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,
  `subject` struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,
  `created` string,
  `__created_start` timestamp,
  `author` struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,
  `__extension` array<struct<`path`:string,`modifier`:boolean,`parent`:int,`url`:string,`urls`:array<string>,`type`:string,`value`:string,`system`:string,`display`:string,`json`:string>>,
  `__contained` array<struct<`resourcetype`:string,`id`:string,`json`:string>>,
  `__residual` string,
  `__origin` struct<`source`:string,`feed`:string,`run`:string,`file`:string,`line`:bigint,`transactiontime`:string>
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://lake/claims/_fhirkiln/athena/Basic/';

CREATE OR REPLACE VIEW "basic" AS
SELECT "resourcetype", "id", "meta", "implicitrules", "language", "text", "identifier", "code", "subject", "created", "__created_start", "author", "__extension", "__contained", "__residual", "__origin",
  kiln_source, kiln_feed, kiln_run, CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space
FROM (
  SELECT *, regexp_extract("$path", 'kiln_source=([^/]+)', 1) AS kiln_source, regexp_extract("$path", 'kiln_feed=([^/]+)', 1) AS kiln_feed, regexp_extract("$path", 'kiln_run=([^/]+)', 1) AS kiln_run
  FROM "kiln_rows_basic"
);

-- Rows are matched by file, line and id, since Athena has no row numbers. A resource comes out twice if it
-- is on the same line of two output files whose URLs differ only in their query.
CREATE OR REPLACE VIEW "current_basic" AS
WITH part AS (
  SELECT *, "$path" AS kiln_file, regexp_extract("$path", 'kiln_source=([^/]+)', 1) AS kiln_source, regexp_extract("$path", 'kiln_feed=([^/]+)', 1) AS kiln_feed, regexp_extract("$path", 'kiln_run=([^/]+)', 1) AS kiln_run
  FROM "kiln_rows_basic"
), version AS (
  SELECT CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space, "id", kiln_file,
    coalesce(CASE WHEN regexp_like("__origin"."transactiontime", '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$') THEN try(from_iso8601_timestamp_nanos("__origin"."transactiontime")) END, TIMESTAMP '0001-01-01 00:00:00 UTC') AS exported,
    coalesce("meta"."__lastupdated_start", TIMESTAMP '0001-01-01 00:00:00') AS updated,
    coalesce("__origin"."run", '') AS run, coalesce("__origin"."file", '') AS file, coalesce("__origin"."line", 0) AS line
  FROM part
), ranked AS (
  SELECT kiln_id_space, "id", kiln_file, file, line, exported, row_number() OVER (
    PARTITION BY kiln_id_space, "id",
      CASE WHEN "id" IS NULL THEN kiln_file END, CASE WHEN "id" IS NULL THEN file END, CASE WHEN "id" IS NULL THEN line END
    ORDER BY exported DESC, updated DESC, run DESC, file DESC, line DESC, kiln_file DESC) AS place
  FROM version
), gone AS (
  SELECT kiln_id_space, "id", max(coalesce(CASE WHEN regexp_like("__origin"."transactiontime", '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$') THEN try(from_iso8601_timestamp_nanos("__origin"."transactiontime")) END, TIMESTAMP '0001-01-01 00:00:00 UTC')) AS deleted
  FROM "kiln_tombstones"
  WHERE "resourcetype" = 'Basic'
  GROUP BY kiln_id_space, "id"
), kept AS (
  SELECT n.kiln_file, n.file, n.line, coalesce(n."id", '') AS id
  FROM ranked n LEFT JOIN gone g ON n.kiln_id_space = g.kiln_id_space AND n."id" = g."id"
  WHERE n.place = 1 AND (g.deleted IS NULL OR n.exported > g.deleted)
)
SELECT p."resourcetype", p."id", p."meta", p."implicitrules", p."language", p."text", p."identifier", p."code", p."subject", p."created", p."__created_start", p."author", p."__extension", p."__contained", p."__residual", p."__origin",
  kiln_source, kiln_feed, kiln_run, CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space
FROM part p JOIN kept k ON p.kiln_file = k.kiln_file AND coalesce(p."__origin"."file", '') = k.file
  AND coalesce(p."__origin"."line", 0) = k.line AND coalesce(p."id", '') = k.id;

CREATE EXTERNAL TABLE IF NOT EXISTS `kiln_rows_patient` (
  `resourcetype` string,
  `id` string,
  `meta` struct<`versionid`:string,`lastupdated`:string,`__lastupdated_start`:timestamp,`source`:string,`profile`:array<string>,`security`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`tag`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>>,
  `implicitrules` string,
  `language` string,
  `text` struct<`status`:string,`div`:string>,
  `identifier` array<struct<`use`:string,`type`:struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,`system`:string,`value`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>,`assigner`:struct<`reference`:string,`display`:string>>>,
  `active` boolean,
  `name` array<struct<`use`:string,`text`:string,`family`:string,`given`:array<string>,`prefix`:array<string>,`suffix`:array<string>,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `telecom` array<struct<`system`:string,`value`:string,`use`:string,`rank`:int,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `gender` string,
  `birthdate` string,
  `__birthdate_start` timestamp,
  `deceasedboolean` boolean,
  `deceaseddatetime` string,
  `__deceaseddatetime_start` timestamp,
  `address` array<struct<`use`:string,`type`:string,`text`:string,`line`:array<string>,`city`:string,`district`:string,`state`:string,`postalcode`:string,`country`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `maritalstatus` struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,
  `multiplebirthboolean` boolean,
  `multiplebirthinteger` int,
  `photo` array<struct<`contenttype`:string,`language`:string,`data`:string,`url`:string,`size`:int,`hash`:string,`title`:string,`creation`:string,`__creation_start`:timestamp>>,
  `contact` array<struct<`relationship`:array<struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>>,`name`:struct<`use`:string,`text`:string,`family`:string,`given`:array<string>,`prefix`:array<string>,`suffix`:array<string>,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>,`telecom`:array<struct<`system`:string,`value`:string,`use`:string,`rank`:int,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,`address`:struct<`use`:string,`type`:string,`text`:string,`line`:array<string>,`city`:string,`district`:string,`state`:string,`postalcode`:string,`country`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>,`gender`:string,`organization`:struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `communication` array<struct<`language`:struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,`preferred`:boolean>>,
  `generalpractitioner` array<struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>>,
  `managingorganization` struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,
  `link` array<struct<`other`:struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,`type`:string>>,
  `__extension` array<struct<`path`:string,`modifier`:boolean,`parent`:int,`url`:string,`urls`:array<string>,`type`:string,`value`:string,`system`:string,`display`:string,`json`:string>>,
  `__contained` array<struct<`resourcetype`:string,`id`:string,`json`:string>>,
  `__residual` string,
  `__origin` struct<`source`:string,`feed`:string,`run`:string,`file`:string,`line`:bigint,`transactiontime`:string>
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://lake/claims/_fhirkiln/athena/Patient/';

CREATE OR REPLACE VIEW "patient" AS
SELECT "resourcetype", "id", "meta", "implicitrules", "language", "text", "identifier", "active", "name", "telecom", "gender", "birthdate", "__birthdate_start", "deceasedboolean", "deceaseddatetime", "__deceaseddatetime_start", "address", "maritalstatus", "multiplebirthboolean", "multiplebirthinteger", "photo", "contact", "communication", "generalpractitioner", "managingorganization", "link", "__extension", "__contained", "__residual", "__origin",
  kiln_source, kiln_feed, kiln_run, CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space
FROM (
  SELECT *, regexp_extract("$path", 'kiln_source=([^/]+)', 1) AS kiln_source, regexp_extract("$path", 'kiln_feed=([^/]+)', 1) AS kiln_feed, regexp_extract("$path", 'kiln_run=([^/]+)', 1) AS kiln_run
  FROM "kiln_rows_patient"
);

-- Rows are matched by file, line and id, since Athena has no row numbers. A resource comes out twice if it
-- is on the same line of two output files whose URLs differ only in their query.
CREATE OR REPLACE VIEW "current_patient" AS
WITH part AS (
  SELECT *, "$path" AS kiln_file, regexp_extract("$path", 'kiln_source=([^/]+)', 1) AS kiln_source, regexp_extract("$path", 'kiln_feed=([^/]+)', 1) AS kiln_feed, regexp_extract("$path", 'kiln_run=([^/]+)', 1) AS kiln_run
  FROM "kiln_rows_patient"
), version AS (
  SELECT CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space, "id", kiln_file,
    coalesce(CASE WHEN regexp_like("__origin"."transactiontime", '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$') THEN try(from_iso8601_timestamp_nanos("__origin"."transactiontime")) END, TIMESTAMP '0001-01-01 00:00:00 UTC') AS exported,
    coalesce("meta"."__lastupdated_start", TIMESTAMP '0001-01-01 00:00:00') AS updated,
    coalesce("__origin"."run", '') AS run, coalesce("__origin"."file", '') AS file, coalesce("__origin"."line", 0) AS line
  FROM part
), ranked AS (
  SELECT kiln_id_space, "id", kiln_file, file, line, exported, row_number() OVER (
    PARTITION BY kiln_id_space, "id",
      CASE WHEN "id" IS NULL THEN kiln_file END, CASE WHEN "id" IS NULL THEN file END, CASE WHEN "id" IS NULL THEN line END
    ORDER BY exported DESC, updated DESC, run DESC, file DESC, line DESC, kiln_file DESC) AS place
  FROM version
), gone AS (
  SELECT kiln_id_space, "id", max(coalesce(CASE WHEN regexp_like("__origin"."transactiontime", '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$') THEN try(from_iso8601_timestamp_nanos("__origin"."transactiontime")) END, TIMESTAMP '0001-01-01 00:00:00 UTC')) AS deleted
  FROM "kiln_tombstones"
  WHERE "resourcetype" = 'Patient'
  GROUP BY kiln_id_space, "id"
), kept AS (
  SELECT n.kiln_file, n.file, n.line, coalesce(n."id", '') AS id
  FROM ranked n LEFT JOIN gone g ON n.kiln_id_space = g.kiln_id_space AND n."id" = g."id"
  WHERE n.place = 1 AND (g.deleted IS NULL OR n.exported > g.deleted)
)
SELECT p."resourcetype", p."id", p."meta", p."implicitrules", p."language", p."text", p."identifier", p."active", p."name", p."telecom", p."gender", p."birthdate", p."__birthdate_start", p."deceasedboolean", p."deceaseddatetime", p."__deceaseddatetime_start", p."address", p."maritalstatus", p."multiplebirthboolean", p."multiplebirthinteger", p."photo", p."contact", p."communication", p."generalpractitioner", p."managingorganization", p."link", p."__extension", p."__contained", p."__residual", p."__origin",
  kiln_source, kiln_feed, kiln_run, CASE kiln_feed WHEN 'history' THEN 'acme' WHEN 'members' THEN 'acme' ELSE kiln_source END AS kiln_id_space
FROM part p JOIN kept k ON p.kiln_file = k.kiln_file AND coalesce(p."__origin"."file", '') = k.file
  AND coalesce(p."__origin"."line", 0) = k.line AND coalesce(p."id", '') = k.id;

CREATE OR REPLACE VIEW "kiln_parts" AS
SELECT regexp_extract(file, 'kiln_source=([^/]+)', 1) AS kiln_source, regexp_extract(file, 'kiln_feed=([^/]+)', 1) AS kiln_feed, regexp_extract(file, 'kiln_run=([^/]+)', 1) AS kiln_run, "type", file, "rows"
FROM (
  SELECT 'Basic' AS "type", "$path" AS file, count(*) AS "rows" FROM "kiln_rows_basic" GROUP BY "$path"
  UNION ALL
  SELECT 'Patient' AS "type", "$path" AS file, count(*) AS "rows" FROM "kiln_rows_patient" GROUP BY "$path"
  UNION ALL
  SELECT 'deleted' AS "type", "$path" AS file, count(*) AS "rows" FROM "kiln_rows_deleted" GROUP BY "$path"
);
